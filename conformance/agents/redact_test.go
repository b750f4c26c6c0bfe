package agents

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// A planted text holds a secret, or nothing that should be taken out.
type planted struct{ kind, text, secret string }

// random makes strings of the shapes that secrets have, the same in each run.
type random struct{ *rand.Rand }

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
	alnum  = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "234567"
	hexes  = "0123456789abcdef"
	url64  = alnum + "-_"
)

func (r random) of(letters string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func (r random) pick(list ...string) string { return list[r.IntN(len(list))] }

// fill replaces # by digits, 9 by digits but 0.
func (r random) fill(pattern string) string {
	b := []byte(pattern)
	for i, c := range b {
		switch c {
		case '#':
			b[i] = byte('0' + r.IntN(10))
		case '9':
			b[i] = byte('1' + r.IntN(9))
		}
	}
	return string(b)
}

// luhn appends the digit that makes a card number right.
func luhn(number string) string {
	sum := 0
	for i := range number {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return number + string(rune('0'+(10-sum%10)%10))
}

// iban puts the check digits into an account number.
func iban(country, account string) string {
	var n strings.Builder
	for _, c := range account + country + "00" {
		if c >= 'A' {
			fmt.Fprint(&n, c-'A'+10)
		} else {
			n.WriteRune(c)
		}
	}
	value, _ := new(big.Int).SetString(n.String(), 10)
	check := 98 - new(big.Int).Mod(value, big.NewInt(97)).Int64()
	return fmt.Sprintf("%s%02d%s", country, check, account)
}

func spaced(s string, n int, sep string) string {
	var parts []string
	for _, p := range batches([]byte(s), n) {
		parts = append(parts, string(p))
	}
	return strings.Join(parts, sep)
}

// secrets are makers of what must not stay, by kind.
var secrets = []struct {
	kind string
	make func(r random) string
}{
	{"AWS key id", func(r random) string { return r.pick("AKIA", "ASIA") + r.of(upper, 16) }},
	{"GitHub token", func(r random) string { return r.pick("ghp_", "gho_", "ghs_") + r.of(alnum, 36) }},
	{"GitHub fine-grained token", func(r random) string { return "github_pat_" + r.of(alnum, 22) + "_" + r.of(alnum, 59) }},
	{"GitLab token", func(r random) string { return "glpat-" + r.of(url64, 20) }},
	{"Anthropic key", func(r random) string { return "sk-ant-api03-" + r.of(url64, 93) + "AA" }},
	{"OpenAI key", func(r random) string { return r.pick("sk-proj-"+r.of(url64, 64), "sk-"+r.of(alnum, 48)) }},
	{"Stripe key", func(r random) string { return r.pick("sk_live_", "sk_test_", "rk_live_") + r.of(alnum, 24) }},
	{"Slack token", func(r random) string {
		return r.pick("xoxb-", "xoxp-") + r.of(digits, 12) + "-" + r.of(digits, 12) + "-" + r.of(alnum, 24)
	}},
	{"Google key", func(r random) string { return "AIza" + r.of(url64, 35) }},
	{"SendGrid key", func(r random) string { return "SG." + r.of(url64, 22) + "." + r.of(url64, 43) }},
	{"npm token", func(r random) string { return "npm_" + r.of(alnum, 36) }},
	{"PyPI token", func(r random) string { return "pypi-AgEIcHlwaS5vcmc" + r.of(url64, 120) }},
	{"Hugging Face token", func(r random) string { return "hf_" + r.of(alnum, 34) }},
	{"Telegram bot token", func(r random) string { return r.fill("9#########") + ":AA" + r.of(url64, 33) }},
	{"JWT", func(r random) string {
		return "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIi" + r.of(alnum, 40) + "." + r.of(url64, 43)
	}},
	{"card", func(r random) string {
		n := luhn(r.pick(r.fill("4##############"), r.fill("51#############"), r.fill("55#############"), r.fill("2512###########")))
		return r.pick(n, spaced(n, 4, " "), spaced(n, 4, "-"))
	}},
	{"Amex card", func(r random) string {
		n := luhn(r.fill("37############"))
		return r.pick(n, n[:4]+" "+n[4:10]+" "+n[10:])
	}},
	{"IBAN", func(r random) string {
		n := r.pick(iban("DE", r.of(digits, 18)), iban("GB", "NWBK"+r.of(digits, 14)), iban("FR", r.of(digits, 23)), iban("NL", "INGB"+r.of(digits, 10)), iban("PL", r.of(digits, 24)))
		return r.pick(n, spaced(n, 4, " "))
	}},
	{"e-mail", func(r random) string {
		return r.pick("ada", "b.okafor", "wen+lists", "maria_lind", "jo.smith-jones") + r.of(digits, 2) + "@" + r.pick("example.com", "mail.example.co.uk", "kiln-works.io", "uni-ghent.be")
	}},
	{"phone", func(r random) string {
		return r.fill(r.pick("+49 30 9#######", "+1 (9##) 9##-####", "+44 20 9### ####", "+31 6 9#######", "+3249#######", "(29#) 5##-####", "29#-5##-####", "01#2 9######", "030/9#######", "+33 6 ## ## ## ##"))
	}},
	{"social security number", func(r random) string { return r.fill("29#-19-9###") }},
	{"private key", func(r random) string {
		kind := r.pick("RSA ", "EC ", "OPENSSH ", "")
		return "-----BEGIN " + kind + "PRIVATE KEY-----\n" + r.of(alnum+"+/", 64) + "\n" + r.of(alnum+"+/", 40) + "==\n-----END " + kind + "PRIVATE KEY-----"
	}},
}

// frames are texts around a secret; % stands for it.
var frames = []string{
	"Remember that I use %s for the staging account.", "%s", "It is %s (not for others)", "Ben wrote on Tuesday: %s, please keep it safe", "curl -H 'x-auth: %s' https://api.example.com/v2/items",
	"- old note\n- %s\n- call the dentist", "config:\n  region: eu-west-1\n  value: \"%s\"\n", "{\"note\": \"%s\", \"n\": 3}", "It is (%s) since May.", "The support line said it was %s.",
	"2024-05-07T10:01:22Z INFO worker-3 using %s",
}

// passwords are texts in which the secret is known by what stands around it.
var passwords = []string{
	"password: %s", "My wifi password is %s, the guest network has none.", "DB_PASSWORD=%s\nDB_HOST=localhost", "{\"username\": \"ada\", \"password\": \"%s\"}", "postgres://app:%s@db.internal:5432/shop",
	"https://deploy:%s@git.example.com/team/repo.git", "mysql -u root --password=%s shop", "pwd = '%s'", "export ADMIN_PASSWD=\"%s\"", "amqp://worker:%s@10.0.0.5/", "The passphrase is: %s", "redis://:%s@cache:6379/0",
}

// tokens are the same for random strings without a shape of their own.
var tokens = []string{
	"aws_secret_access_key = %s", "API_KEY=%s", "api_key: \"%s\"", "client_secret=%s&grant_type=client_credentials", "Authorization: Bearer %s", "The API key is %s", "\"accessToken\": \"%s\"", "SLACK_SIGNING_SECRET: %s",
	"https://api.example.com/v1/items?token=%s&page=2", "X-Auth-Token: %s",
}

// harmless texts look like secrets and are none.
var harmless = []func(r random) string{
	func(r random) string {
		return "The job " + r.of(hexes, 8) + "-" + r.of(hexes, 4) + "-4" + r.of(hexes, 3) + "-a" + r.of(hexes, 3) + "-" + r.of(hexes, 12) + " was retried."
	},
	func(r random) string { return "Fixed in commit " + r.of(hexes, 40) + "." },
	func(r random) string { return "git checkout " + r.of(hexes, 7) + " && make" },
	func(r random) string { return "sha256:" + r.of(hexes, 64) },
	func(r random) string { return "The MD5 sum of the disc image is " + r.of(hexes, 32) },
	func(r random) string { return "integrity sha512-" + r.of(alnum+"+/", 86) + "==" },
	func(r random) string { return r.fill("We run version 1.#.9## of the gateway and lodash@4.17.#") },
	func(r random) string { return r.fill("Released on 2024-0#-19, again on 19.0#.2024 and 0#/28/2024") },
	func(r random) string { return r.fill("Order 17#############, posted at 17##########") },
	func(r random) string { // sixteen digits that are no card
		n := luhn(r.fill("4##############"))
		return "Parcel " + n[:15] + string(rune('0'+(n[15]-'0'+1)%10)) + " is at the depot."
	},
	func(r random) string {
		n := iban("DE", r.of(digits, 18))
		return "Reference DE" + fmt.Sprintf("%02d", (int(n[2]-'0')*10+int(n[3]-'0')+1)%97) + n[4:]
	},
	func(r random) string { return r.fill("The server listens on 192.168.#.9 port 80##.") },
	func(r random) string { return r.fill("It took 9#:##:## to copy 9,###,### rows (+9##.# percent).") },
	func(r random) string { return "git clone git@github.com:team/" + r.of(lower, 8) + ".git" },
	func(r random) string { return "See https://example.com/" + r.of(lower, 6) + "?page=2&sort=date#top" },
	func(r random) string { return r.fill("The icon is logo@2x.png, ISBN 978-9-9##-9####-9") },
	func(r random) string {
		return r.pick("A password is required.", "The password was changed last week.", "Password: see the vault", "password: string", "Never share your password with anyone.", "password=${DB_PASSWORD}", "password: <your password>", "The token is expired.", "token: str | None", "secret: true", "password = os.environ[\"DB_PASSWORD\"]", "db.password=config.db.password", "PASSWORD=********")
	},
	func(r random) string {
		return r.pick("max_tokens=2048", "tokens: 1500", "The secret of good bread is time.", "Our secret santa is on Friday.", "The key is under the mat.", "api_key: null", "The bearer of bad news", "Basic income was the topic.", "token_type: bearer", "next_page_token: \"\"")
	},
	func(r random) string {
		return r.fill("Section 9.#.9 on page 9##, ticket ABC-9####, pull request #9###")
	},
	func(r random) string { return "sk-learn and sk-image are imported, not sk-" + r.of(lower, 5) },
	func(r random) string {
		return r.fill("The meeting is at 10:30 in room 9##, 2024-06-01T10:00:00+02:00")
	},
	func(r random) string { return r.fill("Coordinates 52.52####, 13.40####; height 9## m, 9,### steps") },
	func(r random) string {
		return "Container " + r.of(hexes, 12) + " on node-" + r.of(digits, 2) + " restarted"
	},
	func(r random) string {
		return "arn:aws:iam::" + r.of(digits, 12) + ":role/deploy and subnet-0" + r.of(hexes, 16)
	},
	func(r random) string { return "std::vector<int> a; dead::beef, 00:1a:2b:3c:4d:5e" },
}

// corpus plants each kind of secret a dozen times, and as much that is harmless.
func corpus() (all []planted) {
	r := random{rand.New(rand.NewPCG(5, 7))}
	for _, s := range secrets {
		for range 12 {
			secret := s.make(r)
			all = append(all, planted{s.kind, strings.ReplaceAll(r.pick(frames...), "%s", secret), secret})
		}
	}
	for _, frame := range passwords {
		for range 4 {
			secret := r.pick(r.of(alnum, 9)+r.of(digits, 1), r.of(lower, 5)+r.of(digits, 3)+"!", "Tr0ub4dor&"+r.of(digits, 1))
			all = append(all, planted{"password", strings.ReplaceAll(frame, "%s", secret), secret})
		}
	}
	for _, frame := range tokens {
		for range 4 {
			secret := r.pick(r.of(hexes, 39)+"7", "x"+r.of(alnum, 38)+"7")
			all = append(all, planted{"token", strings.ReplaceAll(frame, "%s", secret), secret})
		}
	}
	for _, text := range harmless {
		for range 14 {
			all = append(all, planted{kind: "harmless", text: text(r)})
		}
	}
	return all
}

var marker = regexp.MustCompile(`\[[A-Za-z -]+ removed\]`)

// Of everything that is planted nearly all is taken out, with nothing around
// it, and nearly nothing else.
func TestRedact_FindsSecretsAndNothingElse(t *testing.T) {
	all := corpus()
	each(t, "redact", nil, func(t *testing.T, w *world) {
		var total tally
		kinds := map[string]*tally{}
		for _, part := range batches(all, 100) {
			engrams := make([]object, len(part))
			for i, p := range part {
				engrams[i] = object{"content": p.text, "allow_duplicate": true}
			}
			for i, e := range w.get(w.create(engrams...)...) {
				p, got := part[i], e["content"].(string)
				kind := kinds[p.kind]
				if kind == nil {
					kind = &tally{}
					kinds[p.kind] = kind
				}
				before, after, _ := strings.Cut(p.text, p.secret)
				switch marks := marker.FindAllString(got, -1); {
				case p.secret == "" && got == p.text:
				case p.secret == "":
					kind.wrong++
					t.Logf("harmless: %q became %q", p.text, got)
				case strings.Contains(got, p.secret):
					kind.missed++
					t.Logf("%s: missed %q", p.kind, p.text)
				default:
					kind.right++
					if len(marks) != 1 || got != before+marks[0]+after {
						kind.wrong++
						t.Logf("%s: %q became %q", p.kind, p.text, got)
					}
				}
			}
		}
		for _, k := range kinds {
			total = tally{total.right + k.right, total.wrong + k.wrong, total.missed + k.missed}
		}
		if planted := total.right + total.missed; planted < 200 {
			t.Errorf("only %d secrets were planted", planted)
		}
		t.Logf("%d secrets in %d texts", total.right+total.missed, len(all))
		gate(t, "recall", total.recall(), .98)
		gate(t, "precision", total.precision(), .98)
	})
}

// What an engram says besides its content is searched as well, and what links
// say; ids and times are left alone.
// Numbers stand beside cards: the month of expiry, a code, an amount.
func TestRedact_CardsAmongNumbers(t *testing.T) {
	each(t, "redact", nil, func(t *testing.T, w *world) {
		for text, want := range map[string]string{
			"Pay with 4111 1111 1111 1111 12/27 123":       "Pay with [card number removed] 12/27 123",
			"Pay with 4111111111111111 12/27":              "Pay with [card number removed] 12/27",
			"Pay with 3782 822463 10005 1227":              "Pay with [card number removed] 1227",
			"4111-1111-1111-1111 2 pieces":                 "[card number removed] 2 pieces",
			"Pay with 4111 1111 1111 1111":                 "Pay with [card number removed]",
			"Order 4111 1111 1111 1112 12/27 is no card":   "Order 4111 1111 1111 1112 12/27 is no card",
			"Part 4111 1111 1111 1111-12/27 is one number": "Part 4111 1111 1111 1111-12/27 is one number",
		} {
			if got := w.get(w.create(object{"content": text})[0])[0]["content"]; got != want {
				t.Errorf("%q becomes %q, want %q", text, got, want)
			}
		}
	})
}

func TestRedact_LooksEverywhere(t *testing.T) {
	each(t, "redact", nil, func(t *testing.T, w *world) {
		id := w.create(object{
			"content": "Ada moved", "source": "ada@example.com", "tags": []string{"+49 30 1234567"}, "valid_from": "2024-05-07T10:00:00Z",
			"metadata": object{"password": "hunter2", "deep": []any{object{"card": 4111111111111111, "n": 42, "at": 1.50}}, "bob@example.com": 1, "api_key": nil, "from": "bob@example.com", "kind": "ask bob@example.com"},
		})[0]
		e := w.get(id)[0]
		got := fmt.Sprint(e["content"], e["source"], e["tags"], e["metadata"], e["valid_from"])
		want := fmt.Sprint("Ada moved", "[e-mail address removed]", []any{"[phone number removed]"},
			object{"password": "[password removed]", "deep": []any{object{"card": "[card number removed]", "n": 42, "at": 1.5}}, "[e-mail address removed]": 1, "api_key": nil, "from": "[e-mail address removed]", "kind": "ask [e-mail address removed]"}, "2024-05-07T10:00:00Z")
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if _, refused := w.try("engram_update", object{"id": id, "content": "the token is 9f8e7d6c5b4a39281706"}); refused != "" {
			t.Error(refused)
		}
		if e := w.get(id)[0]; e["content"] != "the token is [token removed]" {
			t.Error(e["content"])
		}
		other := w.create(object{"content": "another"})[0]
		answer := w.call("engram_link", object{"links": []object{{"from": id, "to": other, "relation": "about", "metadata": object{"by": "bob@example.com"}}}})
		if link := fmt.Sprint(answer["links"]); !strings.Contains(link, "[e-mail address removed]") {
			t.Error(link)
		}
		entity := object{"name": "Ben", "entityType": "person", "observations": []string{"is reached at ben@example.com"}}
		w.call("create_entities", object{"entities": []object{entity}})
		if graph := fmt.Sprint(w.call("open_nodes", object{"names": []string{"Ben"}})); !strings.Contains(graph, "is reached at [e-mail address removed]") {
			t.Error(graph)
		}
		entity["name"] = "ben@example.com"
		if _, refused := w.try("create_entities", object{"entities": []object{entity}}); !strings.Contains(refused, "an e-mail address") {
			t.Errorf("refused because of %q", refused)
		}
		for name, engram := range map[string]object{
			"context":    {"content": "x", "context": "chat with bob@example.com"},
			"collection": {"content": "x", "collections": []string{"team", "bob@example.com"}},
		} {
			if _, refused := w.try("engram_create", object{"engrams": []object{engram}}); !strings.Contains(refused, "an e-mail address") {
				t.Errorf("%s: refused because of %q", name, refused)
			}
		}
	})
}

func TestRedact_ByConfig(t *testing.T) {
	t.Run("refuse", func(t *testing.T) {
		each(t, "redact", object{"mode": "refuse"}, func(t *testing.T, w *world) {
			_, refused := w.try("engram_create", object{"engrams": []object{{"content": "fine"}, {"content": "password: hunter22"}}})
			if !strings.Contains(refused, "a password") || strings.Contains(refused, "hunter22") {
				t.Errorf("refused because of %q", refused)
			}
			if ids := w.create(object{"content": "fine"}); len(ids) != 1 {
				t.Error(ids)
			}
		})
	})
	t.Run("kinds", func(t *testing.T) {
		each(t, "redact", object{"kinds": []string{"ip"}}, func(t *testing.T, w *world) {
			ids := w.create(object{"content": "bob@example.com at 192.168.1.7, fe80::1:2ab, not 1.2.3 nor 300.1.1.1"})
			want := "bob@example.com at [IP address removed], [IP address removed], not 1.2.3 nor 300.1.1.1"
			if got := w.get(ids[0])[0]["content"]; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	})
	t.Run("mistaken", func(t *testing.T) {
		each(t, "redact", object{"kinds": []string{"emails"}}, func(t *testing.T, w *world) {
			_, failure := w.try("agent_run", object{"agent": "redact", "action": "mask", "params": object{"tool": "engram_create", "args": object{}}})
			if !strings.Contains(failure, "kinds") {
				t.Error(failure)
			}
		})
	})
}

// Nothing that people write makes it fail, and what it has masked it leaves
// alone.
func TestRedact_IsCalm(t *testing.T) {
	each(t, "redact", nil, func(t *testing.T, w *world) {
		for _, text := range []string{
			"", "+", "(", "0", "-----BEGIN ", "eyJ", "sk-", "a://", "a://b:@c", "password:", "password: \"", "password is ", "PIN", "@", "a@", "a@.", "DE", "ß@ü.de", "日本語のパスワード", "\u0000\u0001", strings.Repeat("0 ", 5000), strings.Repeat("a.", 5000), strings.Repeat("-----BEGIN PRIVATE KEY-----", 50), "password=" + strings.Repeat("日本", 2000), "password: \"é", "https://ü:é@ö.de",
		} {
			w.run("mask", object{"tool": "engram_create", "args": object{"engrams": []object{{"content": text}}}})
		}
		out := w.run("mask", object{"args": object{"content": "password: hunter22, bob@example.com"}})
		again := w.run("mask", object{"args": out["args"]})
		if _, changed := again["args"]; changed {
			t.Errorf("%v became %v", out, again)
		}
	})
}
