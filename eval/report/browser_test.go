package report

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser opens pages in a real browser. It collects what no page may cause.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	problems []string
}

// openBrowser starts Debian's chromium, or skips where there is none.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium here: apt-get install chromium")
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()))...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	err = chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "data:") {
				b.requests = append(b.requests, e.Request.URL)
			}
		case *runtime.EventExceptionThrown:
			b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			b.problems = append(b.problems, "console: "+string(e.Type))
		case *log.EventEntryAdded:
			b.problems = append(b.problems, "log: "+e.Entry.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	return b
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// get does what gives a value.
func get[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// call gives a command of the protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	out, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// media sets what the page is shown on, and the system's choice of colours.
func (b *browser) media(kind, scheme string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: kind, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// open loads a page from a file in a window of that width.
func (b *browser) open(file string, width int64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500})
	b.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: file}).String()))
}

// js evaluates an expression in the page.
func js[T any](b *browser, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression))
}

// column is the text of a table's column as it is shown, row by row.
func (b *browser) column(table string, at int) string {
	b.t.Helper()
	return js[string](b, fmt.Sprintf(`[...document.querySelectorAll(%q + " tbody tr")].filter(r => !r.hidden && !r.matches(".group")).map(r => r.cells[%d]?.firstChild?.textContent.trim() ?? "").join(" ")`, table, at))
}

// checkQuiet fails where anything but the page's own file was asked for or anything was complained about.
func (b *browser) checkQuiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		if !strings.HasPrefix(r, "file:///") || !strings.HasSuffix(r, ".html") {
			b.t.Errorf("the page asked for %s", r)
		}
	}
	for _, p := range b.problems {
		b.t.Error(p)
	}
	if len(b.requests) == 0 {
		b.t.Error("no request was seen, not even that for the page: the check sees nothing")
	}
}

// contrastJS lists texts with less than 4.5 to 1 of contrast to the nearest ground behind them.
const contrastJS = `(() => {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const rgba = (css) => { context.clearRect(0, 0, 1, 1); context.fillStyle = css; context.fillRect(0, 0, 1, 1); return context.getImageData(0, 0, 1, 1).data; };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, k, i) => { const v = c[i] / 255; return sum + k * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || e.closest("script, title, desc") || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    let ground = [255, 255, 255, 0];
    for (let g = e; g && ground[3] < 255; g = g.parentElement) ground = rgba(getComputedStyle(g).backgroundColor);
    const text = rgba(e instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(text) + 0.05, light(ground) + 0.05];
    const ratio = Math.max(a, b) / Math.min(a, b);
    if (ratio < 4.5) bad.add(e.tagName + "." + e.getAttribute("class") + " " + walk.currentNode.textContent.trim().slice(0, 30) + " " + ratio.toFixed(2));
  }
  return [...bad].join("; ");
})()`

// shoot checks the page at three widths in light and dark and leaves a picture of each in the folder that SAMTUNE_ARTIFACTS names.
func (b *browser) shoot(file, name string) {
	b.t.Helper()
	dir := os.Getenv("SAMTUNE_ARTIFACTS")
	if dir == "" {
		dir = b.t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	for _, width := range []int64{360, 800, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			b.media("", scheme)
			b.open(file, width)
			if got := js[int64](b, `document.documentElement.scrollWidth`); got > width {
				b.t.Errorf("%s, %d px wide, reaches to %d px: %s", name, width, got, js[string](b, fmt.Sprintf(
					`[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > %d && !e.closest(".scroll")).map(e => e.tagName + "." + e.className).slice(0, 5).join(" ")`, width)))
			}
			if low := js[string](b, contrastJS); low != "" {
				b.t.Errorf("%s, %d px, %s: too little contrast: %s", name, width, scheme, low)
			}
			picture := get(b, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), picture, 0o644); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.media("", "light")
}

// sorts presses a heading and checks that the column rises, falls and is as it was.
func (b *browser) sorts(table string, column int, rising, falling string) {
	b.t.Helper()
	was := b.column(table, column)
	button := fmt.Sprintf(`%s thead th:nth-child(%d) button`, table, column+1)
	state := func() string {
		return js[string](b, fmt.Sprintf(`document.querySelector(%q).parentElement.getAttribute("aria-sort") ?? ""`, button))
	}
	b.do(chromedp.Focus(button))
	for _, press := range []struct{ key, aria, want string }{{kb.Enter, "ascending", rising}, {" ", "descending", falling}, {kb.Enter, "", was}} {
		b.do(chromedp.KeyEvent(press.key))
		if got := b.column(table, column); got != press.want || state() != press.aria {
			b.t.Errorf("%s column %d, %q: %q (%s), want %q", table, column, press.aria, got, state(), press.want)
		}
	}
	b.do(chromedp.Click(button))
	if got := b.column(table, column); got != rising {
		b.t.Errorf("%s column %d after a click: %q", table, column, got)
	}
}

// filters types into the filter and checks what is left of the names.
func (b *browser) filters(words string, want int) {
	b.t.Helper()
	b.do(chromedp.Focus(`.filter input`), chromedp.KeyEvent(words))
	shown := js[int](b, `new Set([...document.querySelectorAll("[data-name]")].filter(e => e.getClientRects().length).map(e => e.dataset.name)).size`)
	status := js[string](b, `document.querySelector(".filter [role=status]").textContent`)
	if shown != want || !strings.HasPrefix(status, fmt.Sprintf("%d of ", want)) {
		b.t.Errorf("filter %q leaves %d (%q), want %d", words, shown, status, want)
	}
	b.do(chromedp.KeyEvent(strings.Repeat(kb.Backspace, len(words))))
	if hidden := js[int](b, `document.querySelectorAll("[data-name][hidden]").length`); hidden > 0 {
		b.t.Errorf("%d stay hidden without a filter", hidden)
	}
}

// ground is the colour of the page.
func (b *browser) ground() string {
	return js[string](b, `getComputedStyle(document.body).backgroundColor`)
}

// picture is what is seen of the first slide's picture.
func (b *browser) picture() string {
	b.t.Helper()
	return string(get(b, chromedp.Screenshot(`.slide .pair`)))
}

// slides moves the first slider by keys and by the pointer, and checks that what is seen changes.
func (b *browser) slides() {
	b.t.Helper()
	slider := `.slide input[type=range]`
	value := func() int { return js[int](b, fmt.Sprintf(`Number(document.querySelector(%q).value)`, slider)) }
	middle := b.picture()
	b.do(chromedp.Focus(slider), chromedp.KeyEvent(kb.End))
	zero := b.picture()
	b.do(chromedp.KeyEvent(kb.Home))
	tuned := b.picture()
	if tuned == zero || tuned == middle || zero == middle {
		b.t.Error("the slider does not change the picture")
	}
	b.do(chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
	if got := value(); got != 2 {
		b.t.Errorf("after two arrows the slider is at %d, want 2", got)
	}
	box := js[[]float64](b, `(() => { const r = document.querySelector(".slide .pair").getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()`)
	b.do(chromedp.MouseClickXY(box[0]+0.8*box[2], box[1]+box[3]/2))
	if got := value(); got < 78 || got > 82 {
		b.t.Errorf("a press at 80 %% of the picture moves the slider to %d", got)
	}
	if text := js[string](b, fmt.Sprintf(`document.querySelector(%q).getAttribute("aria-valuetext")`, slider)); text != fmt.Sprintf("%d %% fine-tuned", 100-value()) {
		b.t.Errorf("the slider says %q", text)
	}
	before := b.picture()
	b.do(chromedp.Click(`input[data-hides=no-layer]`))
	if b.picture() == before {
		b.t.Error("the box does not hide the predictions")
	}
	b.do(chromedp.Click(`input[data-hides=no-layer]`))
	b.do(chromedp.Focus(`.all input`), chromedp.KeyEvent(kb.Home))
	if n := js[int](b, `[...document.querySelectorAll(".slide input[type=range]")].filter(i => i.value !== "0").length`); n > 0 {
		b.t.Errorf("%d sliders do not follow that of all pictures", n)
	}
}
