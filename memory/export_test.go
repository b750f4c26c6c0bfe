package memory

import (
	"context"
	"fmt"
)

// LimitPages makes the disk of a store end after so many pages.
func LimitPages(s *Store, pages int) error {
	return s.write(context.Background(), "test", Principal{}, func(t *txn) error {
		_, err := t.c.one(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages), nil, new(int))
		return err
	})
}
