package memory

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"time"

	"github.com/google/uuid"
)

// Maintain applies a policy, in small transactions that let others in between.
// With dryRun it only counts. The caller needs Admin; it touches every engram
// of the space, readable to the caller or not, and shows none.
func (s *Store) Maintain(ctx context.Context, p Policy, dryRun bool) (m Maintained, err error) {
	who, err := s.caller(ctx, "maintain", Admin)
	if err != nil {
		return m, err
	}
	s.flushAccess()
	before := s.fileBytes()
	now := time.Now()
	if p.PurgeExpired > 0 {
		n, err := s.purgeWhere(ctx, who, dryRun, `expires_at > 0 AND expires_at < ?`, now.Add(-p.PurgeExpired).UnixMilli())
		if m.Purged += n; err != nil {
			return m, err
		}
	}
	if p.PurgeForgotten > 0 {
		n, err := s.purgeWhere(ctx, who, dryRun, `forgotten = 1 AND updated_at < ?`, now.Add(-p.PurgeForgotten).UnixMilli())
		if m.Purged += n; err != nil {
			return m, err
		}
	}
	if p.CompactHistory > 0 {
		if m.Compacted, err = s.compact(ctx, who, dryRun, hlcAt(now.Add(-p.CompactHistory))); err != nil {
			return m, err
		}
	}
	if p.Reinforce {
		if m.Reinforced, err = s.reinforce(ctx, who, dryRun); err != nil {
			return m, err
		}
	}
	if !dryRun {
		m.FreedBytes = max(0, before-s.fileBytes())
	}
	return m, nil
}

func (s *Store) fileBytes() (n int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

// maintainBatch is how much maintenance does in one transaction.
const maintainBatch = 200

func (s *Store) purgeWhere(ctx context.Context, who Principal, dryRun bool, cond string, args ...any) (n int64, err error) {
	cond = `created = 1 AND purged = 0 AND ` + cond
	if dryRun {
		err = s.snapshot(ctx, func(v *view) error {
			_, err := v.one(`SELECT count(*) FROM engram WHERE `+cond, args, &n)
			return err
		})
		return n, err
	}
	for more := true; more; {
		err := s.write(ctx, "maintain", who, func(t *txn) error {
			ids, err := collect(t.c, single[[]byte], `SELECT id FROM engram WHERE `+cond+` LIMIT ?`, append(args, maintainBatch)...)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if _, err := t.do(opPurge, uuid.UUID(id), uuid.Nil, struct{}{}); err != nil {
					return err
				}
			}
			n, more = n+int64(len(ids)), len(ids) == maintainBatch
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// compact blanks the bodies of ops older than before whose every value has
// been overwritten since. The op keeps its place, so that versions still count
// and a late copy of it is still known.
func (s *Store) compact(ctx context.Context, who Principal, dryRun bool, before HLC) (n int64, err error) {
	var after int64
	for more := true; more; {
		var blank []int64
		err := s.snapshot(ctx, func(v *view) error {
			type candidate struct {
				seq int64
				op  Op
				cs  string
			}
			page, err := collect(v, func(r *sql.Rows) (c candidate, err error) {
				var body string
				err = r.Scan(&c.seq, &c.op.Origin, &c.op.HLC, &body, &c.cs)
				c.op.Body = json.RawMessage(body)
				return c, err
			}, `SELECT o.seq, o.origin, o.hlc, o.body, e.clocks FROM op o CROSS JOIN engram e ON e.id = o.target
				WHERE o.seq > ? AND o.hlc < ? AND o.kind IN ('update', 'forget', 'restore') AND o.body <> '' ORDER BY o.seq LIMIT ?`, after, int64(before), maintainBatch)
			for _, c := range page {
				after = c.seq
				old, err := superseded(&c.op, c.cs)
				if err != nil {
					return err
				}
				if old {
					blank = append(blank, c.seq)
				}
			}
			more = len(page) == maintainBatch
			return err
		})
		if err != nil {
			return n, err
		}
		n += int64(len(blank))
		if dryRun || len(blank) == 0 {
			continue
		}
		err = s.write(ctx, "maintain", who, func(t *txn) error {
			_, err := t.c.exec(`UPDATE op SET body = '' WHERE seq IN (SELECT value FROM json_each(?))`, jsonText(blank))
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// superseded reports whether every field that an op set has a newer value, and
// it changed no membership.
func superseded(o *Op, stored string) (bool, error) {
	var f fields
	if ok, err := o.decode(&f); err != nil || !ok {
		return false, err
	}
	if len(f.Join)+len(f.Leave) > 0 {
		return false, nil
	}
	cs, err := parseClocks(stored)
	if err != nil {
		return false, err
	}
	at := clock{o.HLC, o.Origin}
	for _, x := range mergeFields {
		if x.has(&f) && !cs[x.name].after(at) {
			return false, nil
		}
	}
	return true, nil
}

// reinforce raises the importance of engrams that are read often: a tenth of
// the way to 1 for each doubling of reads beyond 4 since it was last raised to
// that level, never above .95. Importance that a caller set above stays.
func (s *Store) reinforce(ctx context.Context, who Principal, dryRun bool) (n int64, err error) {
	type item struct {
		id         []byte
		importance float64
		count      int64
	}
	var items []item
	err = s.snapshot(ctx, func(v *view) error {
		items, err = collect(v, func(r *sql.Rows) (i item, err error) { err = r.Scan(&i.id, &i.importance, &i.count); return },
			`SELECT e.id, e.importance, sum(a.count) FROM access a JOIN engram e ON e.row = a.engram WHERE e.created = 1 AND e.purged = 0 AND e.forgotten = 0 GROUP BY e.row HAVING sum(a.count) >= 8`)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, it := range items {
		earned := earnedImportance(it.count)
		if earned <= it.importance+.01 {
			continue
		}
		n++
		if dryRun {
			continue
		}
		err := s.write(ctx, "maintain", who, func(t *txn) error {
			_, err := t.do(opUpdate, uuid.UUID(it.id), uuid.Nil, fields{Importance: &earned})
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// earnedImportance is what a number of reads is worth: .5 below 8, .55 at 8,
// and half of the remaining way to .95 is gone at about 500.
func earnedImportance(reads int64) float64 {
	v := .5
	for n := reads; n >= 8; n /= 2 {
		v += .1 * (1 - v)
	}
	return min(v, .95)
}
