package memory

import (
	"database/sql"
	"slices"
	"strconv"
	"sync"

	"github.com/google/uuid"
)

// itemCache keeps what scoring needs of engrams that searches have looked at.
// It follows the op log: what any process has changed since is dropped before
// the next search uses it. Whether the caller may see an engram is never
// decided here.
type itemCache struct {
	mu       sync.Mutex
	seq      int64 // of the last op that the cache has heard of
	embedded int64 // of the last embedding
	items    map[int64]rankItem
	rows     map[uuid.UUID]int64
	bytes    int
}

const (
	maxItemCache   = 24 << 20 // bytes, estimated
	maxItemChanges = 2000     // ops; after more of them starting anew is cheaper
)

// follow drops what has changed.
func (c *itemCache) follow(q querier) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var last, embedded int64
	if _, err := q.one(`SELECT (SELECT ifnull(max(seq), 0) FROM op), (SELECT ifnull(max(seq), 0) FROM embedding)`, nil, &last, &embedded); err != nil {
		return err
	}
	if c.items == nil || last-c.seq > maxItemChanges || embedded-c.embedded > maxItemChanges {
		c.clear()
		c.seq, c.embedded = last, embedded
	}
	if last > c.seq {
		changed, err := collect(q, single[[]byte], `SELECT target FROM op WHERE seq > ? AND target IS NOT NULL`, c.seq)
		if err != nil {
			return err
		}
		for _, id := range changed {
			c.remove(c.rows[uuid.UUID(id)])
		}
		c.seq = last
	}
	if embedded > c.embedded {
		changed, err := collect(q, single[int64], `SELECT engram FROM embedding WHERE seq > ?`, c.embedded)
		if err != nil {
			return err
		}
		for _, row := range changed {
			c.remove(row)
		}
		c.embedded = embedded
	}
	return nil
}

func (c *itemCache) clear() {
	c.items, c.rows, c.bytes = map[int64]rankItem{}, map[uuid.UUID]int64{}, 0
}

// drop empties the cache.
func (c *itemCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
}

func (c *itemCache) remove(row int64) {
	it, ok := c.items[row]
	if !ok {
		return
	}
	c.bytes -= it.size()
	delete(c.items, row)
	delete(c.rows, uuid.MustParse(it.id)) // from the file
}

// take moves what is known of rows into items and returns the other rows.
func (c *itemCache) take(rows []int64, items map[int64]rankItem) (missing []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, row := range rows {
		if it, ok := c.items[row]; ok {
			items[row] = it
		} else {
			missing = append(missing, row)
		}
	}
	return missing
}

// put remembers an item; when there are too many, any of the others go.
func (c *itemCache) put(row int64, it rankItem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.items[row]; known {
		return
	}
	c.items[row] = it
	c.rows[uuid.MustParse(it.id)] = row
	c.bytes += it.size()
	for other := range c.items {
		if c.bytes <= maxItemCache {
			return
		}
		c.remove(other)
	}
}

// size estimates the bytes that an item takes in the cache.
func (it *rankItem) size() int {
	a := it.analysis
	return 400 + len(it.source) + 4*len(it.vector) + 8*len(a.terms) + 4*(len(a.rows)+len(a.pairs)+len(a.names))
}

// items loads what scoring needs of the wanted rows.
func (k *seeker) items(wanted map[int64]bool) (map[int64]rankItem, error) {
	rows := make([]int64, 0, len(wanted))
	for row := range wanted {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	passes, err := k.passing(rows)
	if err != nil {
		return nil, err
	}
	cache := &k.s.items
	if err := cache.follow(k); err != nil {
		return nil, err
	}
	items := make(map[int64]rankItem, len(rows))
	if missing := cache.take(rows, items); len(missing) > 0 {
		if err := k.loadItems(missing, items); err != nil {
			return nil, err
		}
	}
	for row, it := range items {
		it.candidate = wanted[row] && (passes == nil || passes[row])
		items[row] = it
	}
	return items, nil
}

func (k *seeker) loadItems(rows []int64, items map[int64]rankItem) error {
	found, err := k.query(`SELECT e.row, e.id, ifnull(e.context, 0), e.ord, e.created_at, e.confidence, e.importance, e.source, a.data, x.vec
		FROM json_each(?) s CROSS JOIN engram e ON e.row = s.value LEFT JOIN analysis a ON a.engram = e.row
		LEFT JOIN embedding x ON x.engram = e.row AND x.model = ? AND x.live = 1`, jsonText(rows), k.s.vectors.model.Load())
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var row, context, ord, created int64
		var id, data, vec sql.RawBytes
		var it rankItem
		if err := found.Scan(&row, &id, &context, &ord, &created, &it.confidence, &it.importance, &it.source, &data, &vec); err != nil {
			return err
		}
		it.id, it.at, it.written = uuid.UUID(id).String(), instant(ord), instant(created)
		if context != 0 {
			it.context = strconv.FormatInt(context, 10)
		}
		if it.analysis, err = decodeAnalysis(data); err != nil {
			it.analysis = &analysis{} // of an older version: found by its words, scored when it has been analysed again
		}
		if len(vec) > 0 {
			it.vector = unpackVector(vec)
		}
		items[row] = it
		k.s.items.put(row, it)
	}
	return found.Err()
}
