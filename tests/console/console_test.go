// Package console drives the console of a running kvd in a headless Chromium, as `make console`
// does. KVD_SHOTS=/dir keeps screenshots.
package console

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// start starts a server with a console.
func start(t *testing.T, args ...string) (*harness.Server, string) {
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := harness.StartKVD(t, append([]string{"--metrics-port", strconv.Itoa(port)}, args...)...)
	return s, fmt.Sprintf("http://127.0.0.1:%d/", port)
}

// hostile are keys and values that a page could take for something of its own.
var hostile = map[string]string{
	"<img src=x onerror=alert(1)>":                     "<script>alert(2)</script>",
	"</span><svg onload=alert(3)>":                     `"><iframe src="javascript:alert(4)"></iframe>`,
	"bin\x00\xff\xfe":                                  "\x00\x01\xff\xfe plain \xc3",
	"rtl \u0645\u0631\u062d\u0628\u0627 \u202egnp.exe": "\u05e9\u05dc\u05d5\u05dd world \u2066x",
	"{{constructor.constructor('alert(5)')()}}":        "${alert(6)} `",
	"line\nbreak\ttab":                                 "a\r\nb",
	strings.Repeat("long", 5000):                       strings.Repeat("<b>", 5000),
}

// fill makes data of all types.
func fill(t *testing.T, c *harness.Conn) {
	for k, v := range hostile {
		c.MustDo(t, "SET", k, v)
		c.MustDo(t, "HSET", "hash:hostile", k, v)
		c.MustDo(t, "RPUSH", "list:hostile", v)
		c.MustDo(t, "SADD", "set:hostile", v)
		c.MustDo(t, "ZADD", "zset:hostile", "1.5", v)
		c.MustDo(t, "XADD", "stream:hostile", "*", k, v)
		c.MustDo(t, "ARINSERT", "array:hostile", v)
	}
	c.MustDo(t, "HPEXPIRE", "hash:hostile", "600000", "FIELDS", "1", "line\nbreak\ttab")
	for i := range 300 {
		c.MustDo(t, "SET", fmt.Sprintf("user:%03d", i), "v", "EX", "3600")
		c.MustDo(t, "RPUSH", "list:long", strconv.Itoa(i))
		c.MustDo(t, "ZADD", "zset:long", strconv.Itoa(i), fmt.Sprint("m", i))
		c.MustDo(t, "SADD", "set:long", fmt.Sprint("m", i))
		c.MustDo(t, "HSET", "hash:long", fmt.Sprint("f", i), "v")
		c.MustDo(t, "XADD", "stream:long", fmt.Sprintf("1-%d", i+1), "n", strconv.Itoa(i))
		c.MustDo(t, "ARINSERT", "array:long", strconv.Itoa(i))
	}
	c.MustDo(t, "CONFIG", "SET", "slowlog-log-slower-than", "0")
	c.MustDo(t, "SET", "<img src=x onerror=alert(7)>", "<script>alert(8)</script>")
	c.MustDo(t, "CONFIG", "SET", "slowlog-log-slower-than", "10000")
	c.MustDo(t, "SELECT", "3")
	c.MustDo(t, "SET", "other", "1")
	c.MustDo(t, "SELECT", "0")
	c.Do("<u>wrong</u>")
}

// load runs some commands until the test ends, so that there is something to be seen.
func load(t *testing.T, s *harness.Server) {
	c := s.MustDial(t)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			if _, err := c.Do("SET", fmt.Sprint("load", i%50), "x", "EX", "100"); err != nil {
				return
			}
			_, _ = c.Do("GET", fmt.Sprint("load", i%60))
			_, _ = c.Do("LRANGE", "list:long", "0", "-1")
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
}

var views = []string{"overview", "memory", "clients", "slow", "hot", "replication", "keys", "prompt"}

// Every view, in both themes, on a desk and on a phone: nothing complains, nothing is wider than the
// phone, and what there is is shown.
func TestViews(t *testing.T) {
	chromium := startBrowser(t)
	s, address := start(t)
	c := s.MustDial(t)
	fill(t, c)
	c.MustDo(t, "HOTKEYS", "START", "METRICS", "2", "CPU", "NET")
	load(t, s)
	follower := harness.StartKVD(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(s.Port))
	fc := follower.MustDial(t)
	for deadline := time.Now().Add(patience); !strings.Contains(fc.MustDo(t, "INFO", "replication").String(), "master_link_status:up"); {
		if time.Now().After(deadline) {
			t.Fatal("the follower does not come up")
		}
		time.Sleep(50 * time.Millisecond)
	}
	shown := map[string]string{
		"overview":    "document.querySelector('#tiles b').textContent !== '0' && document.querySelectorAll('#tiles .tile').length === 8 && document.querySelectorAll('#busy tbody tr').length > 1 && document.querySelectorAll('#dbs tbody tr').length === 2 && document.getElementById('heat-said').textContent.includes('99%')",
		"memory":      "document.querySelectorAll('#types tbody tr').length >= 8 && document.querySelectorAll('#big tbody tr').length === 20 && document.querySelectorAll('#where progress').length > 1",
		"clients":     "document.querySelectorAll('#clients tbody tr').length >= 3",
		"slow":        "document.getElementById('slow').textContent.includes('<script>alert(8)</script>')",
		"hot":         "document.getElementById('hot-time').textContent.includes('list:long')",
		"replication": "document.querySelectorAll('#picture rect').length === 2 && document.querySelector('#picture svg').getAttribute('aria-label').includes('behind')",
		"keys":        "document.querySelectorAll('#keylist button').length >= 100",
		"prompt":      "document.activeElement.id === 'line'",
	}
	for _, theme := range []string{"light", "dark"} {
		for _, size := range [][2]int{{1280, 800}, {390, 844}} {
			b := chromium.open(t, address)
			b.size(size[0], size[1])
			b.theme(theme)
			for _, v := range views {
				b.view(v)
				b.is(shown[v])
				if v == "keys" {
					b.eval("[...document.querySelectorAll('#keylist button')].find((x) => x.textContent.includes('hostile')).click()", nil)
					b.is("document.querySelectorAll('#value tbody tr').length >= 5")
				}
				if v == "overview" {
					b.is("history.length > 2")
					time.Sleep(3 * time.Second) // the picture has some columns
				}
				b.shot(fmt.Sprintf("%s-%s-%d", v, theme, size[0]))
				var over bool
				if b.eval("document.documentElement.scrollWidth > innerWidth", &over); over {
					t.Errorf("%s is wider than %d", v, size[0])
				}
			}
			b.clean(address)
		}
	}
}

// What a first visit loads.
func TestFirstLoad(t *testing.T) {
	chromium := startBrowser(t)
	_, address := start(t)
	b := chromium.open(t, address)
	b.is("document.querySelectorAll('#tiles .tile').length === 8")
	b.mu.Lock()
	loaded, n := b.loaded, len(b.requests)
	b.mu.Unlock()
	t.Logf("%.0f bytes in %d requests", loaded, n)
	if loaded < 20<<10 || loaded >= 200<<10 {
		t.Errorf("the first load is %.0f bytes", loaded)
	}
	b.clean(address)
}

// Names and values are texts: what is shown is what is there, and nothing of it is run.
func TestHostileData(t *testing.T) {
	chromium := startBrowser(t)
	s, address := start(t)
	c := s.MustDial(t)
	fill(t, c)
	c.MustDo(t, "SET", "big", strings.Repeat("<script>alert(9)</script>", 100<<20/25))
	b := chromium.open(t, address)
	b.view("keys")
	for _, match := range []string{"*", "*hostile", "big"} {
		b.fill("#s-match", match)
		b.click("#search button")
		b.is("document.querySelectorAll('#keylist button').length > 0")
	}
	for k, v := range map[string][2]string{
		"<img src=x onerror=alert(1)>":                     {"<img src=x onerror=alert(1)>", "<script>alert(2)</script>"},
		"bin\x00\xff\xfe":                                  {`bin\x00\xff\xfe`, `\x00\x01\xff\xfe plain \xc3`},
		"rtl \u0645\u0631\u062d\u0628\u0627 \u202egnp.exe": {"rtl \u0645\u0631\u062d\u0628\u0627 \\u{202e}gnp.exe", "\u05e9\u05dc\u05d5\u05dd world \\u{2066}x"},
		"line\nbreak\ttab":                                 {"line\nbreak\ttab", "a\\x0d\nb"},
	} {
		b.eval(fmt.Sprintf("openKey(0, %q)", base64.StdEncoding.EncodeToString([]byte(k))), nil)
		var name, value string
		b.is(fmt.Sprintf("document.querySelector('#value h2')?.textContent === JSON.parse(%q)", jsonText(v[0])))
		b.eval("document.querySelector('#value h2').textContent", &name)
		b.eval("document.querySelector('#value > div:not(.acts)').textContent", &value)
		if value != v[1] {
			t.Errorf("the value of %q is shown as %q, want %q", name, value, v[1])
		}
	}
	// All types, and all their pages.
	for _, key := range []string{"list:long", "zset:long", "set:long", "hash:long", "stream:long", "array:long"} {
		b.eval(fmt.Sprintf("openKey(0, btoa(%q))", key), nil)
		b.is(fmt.Sprintf("document.querySelector('#value h2')?.textContent === %q", key))
		for range 20 {
			var rows int
			if b.eval("document.querySelectorAll('#value tbody tr').length", &rows); rows >= 300 {
				break
			}
			b.eval("document.querySelector('#value > button').click()", nil)
			b.is(fmt.Sprintf("document.querySelectorAll('#value tbody tr').length > %d", rows))
		}
		var rows int
		if b.eval("new Set([...document.querySelectorAll('#value tbody tr')].map((r) => r.textContent)).size", &rows); rows != 300 {
			t.Errorf("%s shows %d different rows of 300", key, rows)
		}
		b.is("document.querySelector('#value > button').hidden")
	}
	// A value of 100 MB is shown in pages.
	b.eval("openKey(0, btoa('big'))", nil)
	b.is("document.querySelector('#value h2')?.textContent === 'big'")
	b.eval("document.querySelector('#value > button').click()", nil)
	b.is("document.querySelectorAll('#value > div:not(.acts) > div').length === 2")
	var text string
	if b.eval("document.querySelector('#value > div:not(.acts)').textContent", &text); !strings.HasPrefix(text, "<script>alert(9)</script><script>") || len(text) != 16<<10 {
		t.Errorf("of the big value %d bytes are shown, beginning with %.60q", len(text), text)
	}
	for _, v := range views {
		b.view(v)
	}
	b.view("prompt")
	for _, line := range []string{"KEYS *", "HGETALL hash:hostile", "LRANGE list:hostile 0 -1", "XRANGE stream:hostile - +", "GET big"} {
		b.fill("#line", line)
		b.click("#ask button")
		b.is("document.querySelector('#log > :last-child').className === ''")
	}
	var made int
	b.eval("document.querySelectorAll('main img, main script, main iframe, main b:not(#tiles b):not(#hints b), main svg:not(#picture > svg), main i, main u, main a').length", &made)
	if made != 0 {
		t.Errorf("data has made %d elements", made)
	}
	b.clean(address)
}

// All is reached without a mouse.
func TestKeyboard(t *testing.T) {
	chromium := startBrowser(t)
	s, address := start(t)
	fill(t, s.MustDial(t))
	b := chromium.open(t, address)
	b.is("document.querySelectorAll('#tiles .tile').length === 8")
	for i, v := range views {
		b.eval("document.activeElement.blur()", nil)
		b.press(strconv.Itoa(i + 1))
		b.is(fmt.Sprintf("!document.getElementById('v-%s').hidden && document.querySelector('nav a[aria-current]').hash === '#%[1]s'", v))
	}
	// The prompt has the focus: hints, completion, the answer, what was asked before.
	for _, r := range "hgeta" {
		b.press(string(r))
	}
	b.is("document.querySelector('#hints li')?.textContent.includes('HGETALL')")
	b.press("Tab")
	b.is("document.getElementById('line').value === 'HGETALL '")
	b.typed("hash:long")
	b.is("document.querySelectorAll('#log li').length >= 600")
	b.press("ArrowUp")
	b.is("document.getElementById('line').value === 'HGETALL hash:long'")
	b.fill("#line", "")
	b.typed("set k v")
	b.is("document.querySelector('#log').textContent.includes('only reading')")
	b.typed("select 3")
	b.is("document.querySelector('#at').textContent === '3>'")
	b.typed("dbsize")
	b.is("document.querySelector('#at').textContent === '3>' && document.querySelector('#log > :last-child').textContent === '(integer) 1'")
	// From the top by the Tab key alone to a key's value.
	b.eval("document.activeElement.blur()", nil)
	b.press("7")
	b.is("document.querySelectorAll('#keylist button').length >= 100")
	b.eval("document.querySelector('nav a').focus()", nil)
	for range 40 {
		var there bool
		if b.eval("Boolean(document.activeElement.closest('#keylist'))", &there); there {
			break
		}
		b.press("Tab")
	}
	b.press("ArrowDown")
	b.press("ArrowDown")
	b.press("Enter")
	b.is("document.querySelector('#value h2') && document.querySelectorAll('#keylist button')[2].getAttribute('aria-current') === 'true' && document.activeElement.id === 'value'")
	// Whatever can be focused shows it.
	var plain string
	b.eval(`[...document.querySelectorAll('a, button, input, select')].filter((e) => e.checkVisibility()).map((e) => { e.focus({ focusVisible: true }); return getComputedStyle(e).outlineStyle === 'none' ? e.outerHTML : ''; }).join('')`, &plain)
	if plain != "" {
		t.Errorf("no focus is seen on %.300s", plain)
	}
	b.clean(address)
}

// signIn signs in.
func (b *tab) signIn(user, password string) {
	b.t.Helper()
	b.eval("document.getElementById('signin').open || document.getElementById('sign').click()", nil)
	b.fill("#i-user", user)
	b.fill("#i-password", password)
	b.click("#signin-form button[type=submit]")
}

// Who may do what: nobody anything but look at figures, a user what the user may.
func TestRights(t *testing.T) {
	chromium := startBrowser(t)
	s, address := start(t)
	c := s.MustDial(t)
	c.MustDo(t, "CONFIG", "SET", "requirepass", "secret")
	t.Cleanup(func() { c.MustDo(t, "CONFIG", "SET", "requirepass", "") }) // for what looks at the server behind the test
	fill(t, c)
	c.MustDo(t, "ACL", "SETUSER", "reader", "on", ">look", "~user:*", "+@read", "+@connection")
	b := chromium.open(t, address)
	b.is("document.querySelectorAll('#tiles .tile').length === 8") // as /metrics shows them
	b.view("keys")
	b.is("document.getElementById('problem').textContent.includes('sign in')")
	if n := 0; true {
		if b.eval("document.querySelectorAll('#keylist button').length", &n); n != 0 {
			t.Errorf("%d keys are shown to nobody", n)
		}
	}
	b.signIn("default", "wrong")
	b.is("document.getElementById('signin-problem').textContent.includes('WRONGPASS')")
	b.signIn("reader", "look")
	b.is("document.getElementById('sign').textContent === 'Sign out reader'")
	b.view("prompt")
	ask := func(line, want string) {
		t.Helper()
		b.fill("#line", line)
		b.click("#ask button")
		b.is(fmt.Sprintf("document.querySelector('#log > :last-child').className !== 'asked data' && document.querySelector('#log > :last-child').textContent.includes(%q)", want))
	}
	ask("GET user:001", "v")
	ask("GET list:long", "NOPERM")
	ask("SET user:001 w", "NOPERM")
	b.click("#sign")
	b.is("document.getElementById('sign').textContent === 'Sign in'")
	b.signIn("default", "secret")
	b.is("document.getElementById('sign').textContent === 'Sign out default'")
	b.view("prompt")
	ask("SET user:001 w", "OK")
	ask("MULTI", "OK")
	ask("INCR counter", "QUEUED")
	ask("EXEC", "1")
	ask("SUBSCRIBE news", "redis-cli")
	if got := c.MustDo(t, "GET", "user:001").String(); !strings.Contains(got, "w") {
		t.Errorf("user:001 is %s", got)
	}
	// Deleted by its button.
	b.view("keys")
	b.fill("#s-match", "user:002")
	b.click("#search button")
	b.is("document.querySelectorAll('#keylist button').length === 1")
	b.click("#keylist button")
	b.is("document.querySelectorAll('#value .acts button').length === 3")
	b.click("#value .acts button:last-child")
	b.is("document.getElementById('value').textContent === 'It is deleted.'")
	if got := c.MustDo(t, "EXISTS", "user:002").Int; got != 0 {
		t.Error("the key is still there")
	}
	// Hot keys are noted.
	b.view("hot")
	b.click("#hot-start")
	b.is("!document.getElementById('hot-stop').disabled")
	b.click("#hot-stop")
	b.is("document.getElementById('hot-stop').disabled")
	b.clean(address)
}

// With metrics-token nobody sees even figures without it.
func TestToken(t *testing.T) {
	chromium := startBrowser(t)
	_, address := start(t, "--metrics-token", "letmein")
	b := chromium.open(t, address)
	b.is("document.getElementById('signin').open")
	b.fill("#i-token", "wrong")
	b.click("#signin-form button[type=submit]")
	b.is("document.getElementById('signin-problem').textContent.includes('metrics-token')")
	b.fill("#i-token", "letmein")
	b.click("#signin-form button[type=submit]")
	b.is("document.querySelectorAll('#tiles .tile').length === 8")
	b.clean(address)
}

// A link on another page leads to a console that asks the server for nothing with the user's rights.
func TestOtherSite(t *testing.T) {
	chromium := startBrowser(t)
	s, address := start(t)
	fill(t, s.MustDial(t))
	u, _ := url.Parse(address)
	// The same server under a name that is not its own: as another site's page that was made to lead here.
	b := chromium.open(t, "http://console.localhost:"+u.Port()+"/")
	b.is("document.getElementById('signin').open")
	var status int
	b.eval("fetch('api/live').then((r) => r.status)", &status)
	if status != 401 {
		t.Errorf("figures under another name: %d", status)
	}
}
