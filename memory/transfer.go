package memory

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The format of an export: JSON Lines. The first line is a header, then come
// contexts and collections, engrams in the order of their creation, and links.
// Unknown keys are ignored, so that newer files can be read.
type transferLine struct {
	Format  string      `json:"format,omitempty"` // header: transferFormat
	Space   string      `json:"space,omitempty"`
	Context *groupLine  `json:"context,omitempty"`
	Collect *groupLine  `json:"collection,omitempty"`
	Engram  *engramLine `json:"engram,omitempty"`
	Link    *Link       `json:"link,omitempty"`
}

const transferFormat = "engram-mcp/1"

// maxTransferLine bounds a line of an import, in bytes.
const maxTransferLine = 4 << 20

// groupLine keeps an empty list, which admits nobody, apart from an open one.
type groupLine struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Readers     *[]string `json:"readers,omitempty"`
	Writers     *[]string `json:"writers,omitempty"`
}

type engramLine struct {
	Engram
	Forgotten bool `json:"forgotten,omitempty"`
}

// Export writes everything that the caller may read, forgotten engrams
// included, from one snapshot, and returns how many engrams and links it wrote.
func (s *Store) Export(ctx context.Context, w io.Writer) (engrams, links int64, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err = s.view(ctx, "export", func(v *view) error {
		if err := enc.Encode(transferLine{Format: transferFormat, Space: s.space}); err != nil {
			return err
		}
		if err := v.exportGroups(enc); err != nil {
			return err
		}
		if engrams, err = v.exportEngrams(enc); err != nil {
			return err
		}
		links, err = v.exportLinks(enc)
		return err
	})
	return engrams, links, errors.Join(err, out.Flush())
}

func (v *view) exportGroups(enc *json.Encoder) error {
	rows, err := v.query(`SELECT kind, name, description, readers, writers FROM grp WHERE row NOT IN (SELECT value FROM json_each(?)) ORDER BY kind, name`, jsonText(v.hiddenRows()))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var g Group
		var readers, writers *string
		if err := rows.Scan(&g.Kind, &g.Name, &g.Description, &readers, &writers); err != nil {
			return err
		}
		if err := g.lists(readers, writers); err != nil {
			return err
		}
		line := &groupLine{Name: g.Name, Description: g.Description, Readers: openOr(g.Readers), Writers: openOr(g.Writers)}
		l := transferLine{Context: line}
		if g.Kind == Collection {
			l = transferLine{Collect: line}
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return rows.Err()
}

func openOr(list []string) *[]string {
	if list == nil {
		return nil
	}
	return &list
}

func (v *view) exportEngrams(enc *json.Encoder) (n int64, err error) {
	var created int64 = -1 << 62
	var last []byte
	for {
		page, err := collect(v, scanEngram, `SELECT `+engramColumns+` FROM engram e WHERE (e.created_at, e.id) > (?, ?) AND `+v.readable("e")+` ORDER BY e.created_at, e.id LIMIT 500`, created, last)
		if err != nil || len(page) == 0 {
			return n, err
		}
		for i := range page {
			e := &page[i]
			if e.members > 0 {
				if e.Collections, err = members(v, v.sight, e.row); err != nil {
					return n, err
				}
			}
			line := engramLine{Engram: e.Engram}
			if _, err := v.one(`SELECT forgotten FROM engram WHERE row = ?`, []any{e.row}, &line.Forgotten); err != nil {
				return n, err
			}
			if err := enc.Encode(transferLine{Engram: &line}); err != nil {
				return n, err
			}
			n++
			id := uuid.MustParse(e.ID) // from the file
			created, last = e.CreatedAt.UnixMilli(), id[:]
			if e.CreatedAt.IsZero() {
				created = 0
			}
		}
	}
}

func (v *view) exportLinks(enc *json.Encoder) (n int64, err error) {
	var after int64
	for {
		var page []Link
		rows, err := collect(v, single[int64], `SELECT l.row FROM link l JOIN engram a ON a.row = l.src JOIN engram b ON b.row = l.dst
			WHERE l.row > ? AND l.live > 0 AND `+v.readable("a")+` AND `+v.readable("b")+` ORDER BY l.row LIMIT 500`, after)
		if err != nil || len(rows) == 0 {
			return n, err
		}
		page, err = collect(v, scanLink, `SELECT `+linkColumns+` FROM link l JOIN engram a ON a.row = l.src JOIN engram b ON b.row = l.dst
			WHERE l.row IN (SELECT value FROM json_each(?)) ORDER BY l.row`, jsonText(rows))
		if err != nil {
			return n, err
		}
		for i := range page {
			if err := enc.Encode(transferLine{Link: &page[i]}); err != nil {
				return n, err
			}
			n++
		}
		after = rows[len(rows)-1]
	}
}

// Imported counts what an import did.
type Imported struct {
	Engrams    int64 `json:"engrams"`    // new ones
	Duplicates int64 `json:"duplicates"` // were there already, by id or by content
	Links      int64 `json:"links"`
	Groups     int64 `json:"groups"`
	Lines      int64 `json:"lines"` // read in all
}

// ImportOptions refine Import. Progress is called after each batch with what
// has been done so far, and may be nil.
type ImportOptions struct {
	Progress func(Imported)
}

// importBatch is how many lines share a transaction.
const importBatch = 500

// Import reads what Export wrote. Ids and times of creation are kept, so that
// a file can be imported again after it broke off, or after it grew: what is
// there already is skipped. Lines that cannot be read end the import with the
// number of the line; what came before it is kept. The caller needs Admin;
// the engrams get its name as author, and its trust.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) (done Imported, err error) {
	who, err := s.caller(ctx, "import", Admin|Write)
	if err != nil {
		return done, err
	}
	in := &lineReader{r: bufio.NewReaderSize(r, 1<<16)}
	im := &importer{s: s, ids: map[string]string{}}
	for {
		batch, err := in.batch(importBatch)
		if len(batch) > 0 {
			now := done
			if werr := s.write(ctx, "import", who, func(t *txn) error { now = done; return im.take(t, batch, &now) }); werr != nil {
				return done, werr
			}
			done = now
			if o.Progress != nil {
				o.Progress(done)
			}
		}
		if errors.Is(err, io.EOF) {
			return done, nil
		}
		if err != nil {
			return done, err
		}
	}
}

// numbered is a line of the file with its place.
type numbered struct {
	transferLine
	no int64
}

type lineReader struct {
	r  *bufio.Reader
	no int64
}

// batch reads up to n lines; the error comes with the lines before it.
func (l *lineReader) batch(n int) (batch []numbered, err error) {
	for len(batch) < n {
		raw, err := l.line()
		if err != nil && (!errors.Is(err, io.EOF) || len(raw) == 0) {
			return batch, err
		}
		l.no++
		if strings.TrimSpace(string(raw)) == "" {
			continue
		}
		line, bad := parseTransferLine(raw)
		if bad != nil {
			return batch, l.at(bad.Error())
		}
		if line.Format != "" && line.Format != transferFormat {
			return batch, l.at("format " + line.Format + " is not known")
		}
		batch = append(batch, numbered{line, l.no})
	}
	return batch, nil
}

// line reads to the next newline, within maxTransferLine.
func (l *lineReader) line() (raw []byte, err error) {
	for {
		part, err := l.r.ReadSlice('\n')
		raw = append(raw, part...)
		if len(raw) > maxTransferLine {
			l.no++
			return nil, l.at(fmt.Sprintf("is longer than %d bytes", maxTransferLine))
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return raw, err
		}
	}
}

func (l *lineReader) at(what string) error {
	return invalid("import", fmt.Sprintf("line %d: %s", l.no, what), "a line holds one JSON object as 'engram-mcp export' writes it; correct the line and import again: what was imported is skipped")
}

// parseTransferLine reads one line; numbers stay as they are written.
func parseTransferLine(raw []byte) (line transferLine, err error) {
	if err := json.Unmarshal(raw, &line); err != nil {
		return line, errors.New("is not the JSON of an export line")
	}
	if line.Engram == nil && line.Link == nil && line.Context == nil && line.Collect == nil && line.Format == "" {
		return line, errors.New("holds no engram, link, context or collection")
	}
	return line, nil
}

// importer turns lines into changes. ids maps the ids of engrams that were
// found to be duplicates by content to the ids they have here.
type importer struct {
	s   *Store
	ids map[string]string
}

func (im *importer) take(t *txn, batch []numbered, done *Imported) error {
	for _, l := range batch {
		done.Lines = l.no
		if err := im.line(t, l.transferLine, done); err != nil {
			return atLine(err, l.no)
		}
	}
	return t.checkQuota("create")
}

func atLine(err error, no int64) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	at := *e
	at.Ref = fmt.Sprintf("line %d: %s", no, e.Ref)
	return &at
}

func (im *importer) line(t *txn, l transferLine, done *Imported) error {
	switch {
	case l.Engram != nil:
		return im.engram(t, l.Engram, done)
	case l.Link != nil:
		l.Link.From, l.Link.To = im.here(l.Link.From), im.here(l.Link.To)
		_, err := SetLink{Link: *l.Link}.plan(t)
		var own *Error
		if errors.As(err, &own) && errors.Is(own, ErrNotFound) { // an end is forgotten or purged here
			return nil
		}
		if err == nil {
			done.Links++
		}
		return err
	case l.Context != nil:
		return im.group(t, Context, l.Context, done)
	case l.Collect != nil:
		return im.group(t, Collection, l.Collect, done)
	}
	return nil
}

func (im *importer) here(id string) string {
	if to, ok := im.ids[id]; ok {
		return to
	}
	return id
}

func (im *importer) engram(t *txn, e *engramLine, done *Imported) error {
	id, err := uuid.Parse(e.ID)
	if e.ID != "" && err != nil {
		return invalid("import", "id "+e.ID, "leave it out, or give a UUID")
	}
	if known, err := t.load(id); err != nil {
		return err
	} else if e.ID != "" && (known.created || known.purged) {
		done.Duplicates++
		return nil
	}
	c := Create{ID: e.ID, Content: e.Content, Kind: e.Kind, Source: e.Source, Confidence: &e.Confidence, Importance: &e.Importance,
		Tags: e.Tags, Metadata: e.Metadata, Context: e.Context, Collections: e.Collections,
		ValidFrom: e.ValidFrom, ValidTo: e.ValidTo, ExpiresAt: e.ExpiresAt, CreatedAt: e.CreatedAt}
	if !e.Forgotten {
		twin := c
		twin.ID, twin.Collections = "", orderedSet(c.Collections)
		if r, err := t.findTwin(twin); err != nil {
			return err
		} else if r != nil {
			im.ids[e.ID] = r.id.String()
			done.Duplicates++
			return nil
		}
	}
	c.AllowDuplicate = true
	res, err := c.plan(t)
	if err != nil {
		return err
	}
	done.Engrams++
	if e.Forgotten {
		_, err = Forget{ID: res.Engram.ID}.plan(t)
	}
	return err
}

// group brings in a group that is not there yet; the lists of one that is stay.
func (im *importer) group(t *txn, kind GroupKind, g *groupLine, done *Imported) error {
	_, exists, err := t.loadGroup(kind, g.Name)
	if err != nil || exists {
		return err
	}
	done.Groups++
	_, err = SetGroup{Kind: kind, Name: g.Name, Description: &g.Description, Readers: keepOpen(g.Readers), Writers: keepOpen(g.Writers)}.plan(t)
	return err
}

func keepOpen(list *[]string) *[]string {
	if list == nil {
		return nil
	}
	names := slices.Clone(*list)
	if names == nil {
		names = []string{}
	}
	return &names
}

// UnmarshalJSON gives an engram of an import the defaults of a new one.
func (e *engramLine) UnmarshalJSON(raw []byte) error {
	type plain engramLine
	p := plain{Engram: Engram{Kind: DefaultKind, Confidence: 1, Importance: .5}}
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	*e = engramLine(p)
	e.Links, e.CreatedAt = nil, e.CreatedAt.Truncate(time.Millisecond)
	return nil
}
