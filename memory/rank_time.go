package memory

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// monthNames maps English names of months, whole and short, to the month.
var monthNames = func() map[string]time.Month {
	names := map[string]time.Month{}
	for m := time.January; m <= time.December; m++ {
		name := strings.ToLower(m.String())
		names[name] = m
		if m != time.May {
			names[name[:3]] = m
		}
	}
	names["sept"] = time.September
	return names
}()

var (
	dayNames     = wordSet(`monday tuesday wednesday thursday friday saturday sunday`)
	timeNouns    = wordSet(`yesterday today tonight tomorrow ago weekend nowadays recently`)
	timeUnits    = wordSet(`day days night nights week weeks weekend month months year years spring summer fall autumn winter`)
	relativeLead = wordSet(`last next this past previous coming`)
)

// mentionsTime reports whether a text says when: yesterday, last week, three
// days ago, on Monday, in May, 2023. It knows English.
func mentionsTime(tokens []token) bool {
	for i, t := range tokens {
		switch {
		case timeNouns[t.word], dayNames[t.word], isYear(t.word):
			return true
		case monthNames[t.word] != 0 && !t.stop:
			return true
		case timeUnits[t.word] && i > 0 && relativeLead[tokens[i-1].word]:
			return true
		}
	}
	return false
}

func isYear(word string) bool {
	return len(word) == 4 && (strings.HasPrefix(word, "19") || strings.HasPrefix(word, "20")) && isNumber(word)
}

func isNumber(word string) bool {
	return word != "" && strings.Trim(word, "0123456789") == ""
}

// asksWhen reports whether a query wants to know a time.
func asksWhen(tokens []token) bool {
	for i, t := range tokens {
		next, afterNext := wordAt(tokens, i+1), wordAt(tokens, i+2)
		switch {
		case t.word == "when":
			return true
		case (t.word == "what" || t.word == "which") && (next == "date" || next == "day" || next == "month" || next == "year" || next == "time"):
			return true
		case t.word == "how" && next == "long" && (afterNext == "ago" || wordAt(tokens, i+3) == "ago"):
			return true
		}
	}
	return false
}

func wordAt(tokens []token, i int) string {
	if i < 0 || i >= len(tokens) {
		return ""
	}
	return tokens[i].word
}

// A dateTarget is the time that a query names: the days from first up to, but
// without, end. It is empty when the query names none.
type dateTarget struct {
	first, end int64 // days since 1970
	month      time.Month
	day        int // of month, when the query gives no year
	grain      dateGrain
}

type dateGrain uint8

const (
	grainNone dateGrain = iota
	grainDay
	grainMonth
	grainYear
)

// queryDate finds the time that a query names: 8 May 2023, May 8, 2023-05-08,
// May 2023, May, 2023, and, counted from now, yesterday, three days ago, last
// week, month or year. The first of the finest grain counts.
func queryDate(tokens []token, now time.Time) dateTarget {
	var best dateTarget
	for i := range tokens {
		d := dateAt(tokens, i, now.UTC())
		if d.grain != grainNone && (best.grain == grainNone || d.grain < best.grain) {
			best = d
		}
	}
	return best
}

// dateAt returns the time named by the words around i, where i is the word
// that tells what it is: a month, a year, "ago", "yesterday", "last".
func dateAt(tokens []token, i int, now time.Time) dateTarget {
	word := tokens[i].word
	if tokens[i].kind == tokenJoined {
		return dateTarget{}
	}
	if month := monthNames[word]; month != 0 && !tokens[i].stop {
		return monthAt(tokens, i, month)
	}
	if isYear(word) {
		year, _ := strconv.Atoi(word)
		month, day := smallNumber(wordAt(tokens, i+1), 12), smallNumber(wordAt(tokens, i+2), 31)
		switch {
		case tokens[i].kind != tokenPart || month == 0:
			return span(grainYear, year, 1, 1)
		case day == 0:
			return span(grainMonth, year, time.Month(month), 1)
		}
		return span(grainDay, year, time.Month(month), day)
	}
	next := wordAt(tokens, i+1)
	switch {
	case word == "today" || word == "tonight":
		return daySpan(now, 0, 1)
	case word == "yesterday":
		return daySpan(now, -1, 1)
	case word == "ago" && i >= 2:
		return agoSpan(now, wordAt(tokens, i-2), wordAt(tokens, i-1))
	case word == "last" && next == "week":
		return daySpan(now, -7, 7)
	case word == "last" && next == "month":
		return span(grainMonth, now.Year(), now.Month()-1, 1)
	case word == "last" && next == "year":
		return span(grainYear, now.Year()-1, 1, 1)
	}
	return dateTarget{}
}

// monthAt reads the day and the year that stand beside a month.
func monthAt(tokens []token, i int, month time.Month) dateTarget {
	day := smallNumber(wordAt(tokens, i-1), 31)
	if wordAt(tokens, i-1) == "of" {
		day = smallNumber(wordAt(tokens, i-2), 31)
	}
	rest := i + 1
	if day == 0 {
		if day = smallNumber(wordAt(tokens, rest), 31); day > 0 {
			rest++
		}
	}
	year := 0
	if isYear(wordAt(tokens, rest)) {
		year, _ = strconv.Atoi(wordAt(tokens, rest))
	}
	switch {
	case year > 0 && day > 0:
		return span(grainDay, year, month, day)
	case year > 0:
		return span(grainMonth, year, month, 1)
	case day > 0:
		return dateTarget{grain: grainDay, month: month, day: day}
	}
	return dateTarget{grain: grainMonth, month: month}
}

func agoSpan(now time.Time, count, unit string) dateTarget {
	n := smallNumber(count, 365)
	if n == 0 {
		n = numberWords[count]
	}
	if n == 0 {
		return dateTarget{}
	}
	switch strings.TrimSuffix(unit, "s") {
	case "day":
		return daySpan(now, -n, 1)
	case "week":
		return daySpan(now, -7*n-3, 7)
	case "month":
		return span(grainMonth, now.Year(), now.Month()-time.Month(n), 1)
	case "year":
		return span(grainYear, now.Year()-n, 1, 1)
	}
	return dateTarget{}
}

var numberWords = map[string]int{"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
	"seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12}

// smallNumber reads a number from 1 to most, also as an ordinal (8th); 0 is none.
func smallNumber(word string, most int) int {
	digits := strings.TrimRight(word, "stndrh")
	if len(word)-len(digits) == 1 || len(digits) > 3 || !isNumber(digits) {
		return 0
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > most {
		return 0
	}
	return n
}

func span(grain dateGrain, year int, month time.Month, day int) dateTarget {
	first := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	end := first.AddDate(0, 0, 1)
	switch grain {
	case grainMonth:
		end = first.AddDate(0, 1, 0)
	case grainYear:
		end = first.AddDate(1, 0, 0)
	}
	return dateTarget{grain: grain, first: dayNumber(first), end: dayNumber(end)}
}

func daySpan(now time.Time, offset, days int) dateTarget {
	first := dayNumber(now) + int64(offset)
	return dateTarget{grain: grainDay, first: first, end: first + int64(days)}
}

func dayNumber(t time.Time) int64 { return int64(math.Floor(float64(t.Unix()) / (24 * 60 * 60))) }

// nearness says how well a time fits the target, from 0 to 1: best inside,
// less the longer before or after, and less the wider the target is.
func (d dateTarget) nearness(t time.Time) float64 {
	if d.grain == grainNone || t.IsZero() {
		return 0
	}
	t = t.UTC()
	if d.month != 0 {
		d = d.inYear(t)
	}
	day, gap := dayNumber(t), int64(0)
	switch {
	case day < d.first:
		gap = d.first - day
	case day >= d.end:
		gap = day - d.end + 1
	}
	switch d.grain {
	case grainDay:
		return math.Exp(-float64(gap+1) / 4)
	case grainMonth:
		if gap == 0 {
			return 0.8
		}
		return 0.5 * math.Exp(-float64(gap)/10)
	}
	if gap == 0 {
		return 0.5
	}
	return 0
}

// inYear completes a target without a year by the one that brings it nearest to t.
func (d dateTarget) inYear(t time.Time) dateTarget {
	var best dateTarget
	bestGap := int64(math.MaxInt64)
	for _, year := range []int{t.Year() - 1, t.Year(), t.Year() + 1} {
		s := span(d.grain, year, d.month, max(d.day, 1))
		middle := (s.first + s.end) / 2
		if gap := max(middle-dayNumber(t), dayNumber(t)-middle); gap < bestGap {
			best, bestGap = s, gap
		}
	}
	return best
}
