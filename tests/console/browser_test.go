package console

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium, which is driven through pipes (--remote-debugging-pipe): messages of
// the DevTools protocol, each with a NUL behind it.
type browser struct {
	t   *testing.T
	cmd *exec.Cmd
	out *os.File

	mu      sync.Mutex // protects what follows
	last    int
	waiting map[int]chan message
	tabs    map[string]*tab // by session
	ended   error
}

// message is one of the protocol.
type message struct {
	ID        int                       `json:"id,omitempty"`
	SessionID string                    `json:"sessionId,omitempty"`
	Method    string                    `json:"method,omitempty"`
	Params    json.RawMessage           `json:"params,omitempty"`
	Result    json.RawMessage           `json:"result,omitempty"`
	Error     *struct{ Message string } `json:"error,omitempty"`
}

// patience is how long the page may take for anything: a busy machine is slow.
const patience = 60 * time.Second

// startBrowser starts Chromium, or skips the test.
func startBrowser(t *testing.T) *browser {
	if os.Getenv("KVD_CONSOLE") == "" {
		t.Skip("a browser takes its time: make console runs this")
	}
	bin := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			bin = path
			break
		}
	}
	if bin == "" {
		t.Skip("there is no Chromium; tests/setup/install.sh --console installs it")
	}
	theirs, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, out: out, waiting: map[int]chan message{}, tabs: map[string]*tab{}}
	b.cmd = exec.Command(bin, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	b.cmd.ExtraFiles = []*os.File{theirs, answers} // its 3 and 4
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	answers.Close()
	go b.read(in)
	t.Cleanup(func() {
		_, _ = b.call("", "Browser.close", nil)
		out.Close()
		ended := make(chan struct{})
		go func() { _ = b.cmd.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = b.cmd.Process.Kill()
			<-ended
		}
		in.Close()
	})
	return b
}

func (b *browser) read(in *os.File) {
	r := bufio.NewReaderSize(in, 1<<20)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			b.ended = err
			for _, c := range b.waiting {
				close(c)
			}
			b.waiting = nil
			b.mu.Unlock()
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if c := b.waiting[m.ID]; m.ID != 0 && c != nil {
			delete(b.waiting, m.ID)
			c <- m
		}
		tab := b.tabs[m.SessionID]
		b.mu.Unlock()
		if m.ID == 0 && tab != nil {
			tab.event(m)
		}
	}
}

// call asks the browser for something; session is "" for the browser itself.
func (b *browser) call(session, method string, params any) (json.RawMessage, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	if params == nil {
		text = []byte("{}")
	}
	c := make(chan message, 1)
	b.mu.Lock()
	if b.ended != nil {
		b.mu.Unlock()
		return nil, b.ended
	}
	b.last++
	m := message{ID: b.last, SessionID: session, Method: method, Params: text}
	b.waiting[m.ID] = c
	line, _ := json.Marshal(m)
	_, err = b.out.Write(append(line, 0))
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case m, ok := <-c:
		switch {
		case !ok:
			return nil, errors.New("the browser has ended")
		case m.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		return m.Result, nil
	case <-time.After(patience):
		return nil, fmt.Errorf("%s: no answer in %v", method, patience)
	}
}

// tab is one page of the console, with all that it complains of.
type tab struct {
	t       *testing.T
	b       *browser
	session string

	mu       sync.Mutex // protects what follows
	faults   []string
	requests []string
	loaded   float64 // bytes, of what has come whole
}

// open opens an address in a tab.
func (b *browser) open(t *testing.T, address string) *tab {
	t.Helper()
	p := &tab{t: t, b: b}
	var target struct{ TargetID string }
	var session struct{ SessionID string }
	p.must(b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}))(&target)
	p.must(b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}))(&session)
	p.session = session.SessionID
	b.mu.Lock()
	b.tabs[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.do(domain+".enable", nil)
	}
	p.size(1280, 800)
	p.do("Page.navigate", map[string]any{"url": address})
	p.is("location.href !== 'about:blank' && document.readyState === 'complete'")
	return p
}

// must fails the test for an error; what it returns reads the answer.
func (p *tab) must(answer json.RawMessage, err error) func(into any) {
	p.t.Helper()
	if err != nil {
		p.mu.Lock()
		faults := p.faults
		p.mu.Unlock()
		p.t.Fatalf("%v; the page said %q", err, faults)
	}
	return func(into any) {
		if err := json.Unmarshal(answer, into); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *tab) do(method string, params any) func(into any) {
	p.t.Helper()
	return p.must(p.b.call(p.session, method, params))
}

// event notes what the page does.
func (p *tab) event(m message) {
	var e struct {
		Type             string
		Message          string
		Request          struct{ URL string }
		Entry            struct{ Source, Text string }
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		EncodedDataLength float64
	}
	_ = json.Unmarshal(m.Params, &e)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.Method {
	case "Runtime.exceptionThrown":
		p.faults = append(p.faults, "exception: "+e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case "Runtime.consoleAPICalled":
		p.faults = append(p.faults, "console: "+e.Type)
	case "Log.entryAdded":
		if e.Entry.Source != "network" { // what the server refuses, as tests ask for, is noted there
			p.faults = append(p.faults, "log: "+e.Entry.Text)
		}
	case "Page.javascriptDialogOpening":
		if e.Type == "alert" {
			p.faults = append(p.faults, "alert: "+e.Message)
		}
		go p.b.call(p.session, "Page.handleJavaScriptDialog", map[string]any{"accept": true})
	case "Network.requestWillBeSent":
		p.requests = append(p.requests, e.Request.URL)
	case "Network.loadingFinished":
		p.loaded += e.EncodedDataLength
	}
}

// eval reads the value of an expression of JavaScript, and waits if it is a promise.
func (p *tab) eval(what string, into any) {
	p.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	p.do("Runtime.evaluate", map[string]any{"expression": what, "awaitPromise": true, "returnByValue": true, "userGesture": true})(&r)
	if r.ExceptionDetails != nil {
		p.t.Fatalf("%s: %s %s", what, r.ExceptionDetails.Text, r.ExceptionDetails.Exception.Description)
	}
	if into != nil {
		if err := json.Unmarshal(r.Result.Value, into); err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
	}
}

// is waits until an expression is true.
func (p *tab) is(what string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var ok bool
		p.eval("(() => { try { return Boolean("+what+"); } catch { return false; } })()", &ok) // the page may be loading
		if ok {
			return
		}
		if time.Now().After(deadline) {
			p.shot("failed")
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("it never came to %s; the page said %q", what, p.faults)
		}
	}
}

// size is that of a desk's screen, or a phone's.
func (p *tab) size(width, height int) {
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
}

func (p *tab) theme(name string) {
	p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": name}}})
}

// click clicks where the first element of a selector is.
func (p *tab) click(selector string) {
	p.t.Helper()
	var at struct{ X, Y float64 }
	p.is(fmt.Sprintf("document.querySelector(%q)", selector))
	p.eval(fmt.Sprintf("(() => { const e = document.querySelector(%q); e.scrollIntoView({ block: 'center' }); const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()", selector), &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.do("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1})
	}
}

// fill puts a text into a field.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	p.is(fmt.Sprintf("document.querySelector(%q)", selector))
	p.eval(fmt.Sprintf("(() => { const e = document.querySelector(%q); e.value = %s; e.dispatchEvent(new Event('input')); })()", selector, jsonText(text)), nil)
}

var keyCodes = map[string]int{"Tab": 9, "Enter": 13, "ArrowUp": 38, "ArrowDown": 40}

// press presses a key.
func (p *tab) press(name string) {
	p.t.Helper()
	down := map[string]any{"type": "keyDown", "key": name}
	if code := keyCodes[name]; code != 0 {
		down["code"], down["windowsVirtualKeyCode"] = name, code
		if name == "Enter" {
			down["text"] = "\r"
		}
	} else {
		down["text"] = name
	}
	p.do("Input.dispatchKeyEvent", down)
	p.do("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "windowsVirtualKeyCode": keyCodes[name]})
}

// typed types a text, and presses Enter.
func (p *tab) typed(text string) {
	p.t.Helper()
	for _, r := range text {
		p.press(string(r))
	}
	p.press("Enter")
}

// view chooses a view.
func (p *tab) view(name string) {
	p.t.Helper()
	p.eval(fmt.Sprintf("location.hash = %q", "#"+name), nil)
	p.is(fmt.Sprintf("!document.getElementById('v-%s').hidden", name))
}

// shot keeps a screenshot: in KVD_SHOTS, where that is set.
func (p *tab) shot(name string) {
	dir := os.Getenv("KVD_SHOTS")
	if dir == "" {
		return
	}
	answer, err := p.b.call(p.session, "Page.captureScreenshot", nil)
	var png struct{ Data string }
	if err == nil {
		err = json.Unmarshal(answer, &png)
	}
	if err == nil {
		var b []byte
		if b, err = base64.StdEncoding.DecodeString(png.Data); err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644)
		}
	}
	if err != nil {
		p.t.Errorf("screenshot %s: %v", name, err)
	}
}

// clean fails the test for all that the page complained of, and for requests elsewhere.
func (p *tab) clean(address string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		p.t.Error(f)
	}
	for _, r := range p.requests {
		if !strings.HasPrefix(r, address) {
			p.t.Errorf("the page asked for %s", r)
		}
	}
}

// jsonText is a text as a literal of JSON, and of JavaScript.
func jsonText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < 0x20 || r == '"' || r == '\\' || r > 0x7e {
			if r > 0xffff {
				panic("not needed: " + strconv.QuoteRune(r))
			}
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
