package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kvd/transfer"
)

// progressBar shows how far a command is: as one line that is drawn again where out is a
// terminal, and else as a line now and then.
type progressBar struct {
	out      io.Writer
	terminal bool
	every    time.Duration
	begun    time.Time // the stage
	stage    string
	shown    time.Time
	wide     int // of the line that is drawn
}

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 5 * time.Second
	barWidth  = 24 // characters
)

func newProgressBar(out io.Writer) *progressBar {
	b := &progressBar{out: out, every: lineEvery}
	if b.terminal = isTerminal(out); b.terminal {
		b.every = barEvery
	}
	return b
}

// isTerminal tells whether what is written is drawn on a terminal.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// show draws p if it is time.
func (b *progressBar) show(p transfer.Progress) {
	now := time.Now()
	if p.Stage != b.stage {
		b.stage, b.begun, b.shown = p.Stage, now, now.Add(-b.every+barEvery)
	}
	if now.Sub(b.shown) < b.every {
		return
	}
	b.shown = now
	text := progressText(p, now.Sub(b.begun))
	if !b.terminal {
		fmt.Fprintln(b.out, text)
		return
	}
	fmt.Fprintf(b.out, "\r%-*s", b.wide, text)
	b.wide = len(text)
}

// clear ends the line that is drawn.
func (b *progressBar) clear() {
	if b.wide > 0 {
		fmt.Fprintf(b.out, "\r%s\r", strings.Repeat(" ", b.wide))
		b.wide = 0
	}
}

// progressText is how far something is after so long.
func progressText(p transfer.Progress, took time.Duration) string {
	var b strings.Builder
	b.WriteString(p.Stage)
	if p.Total > 0 {
		part := min(float64(p.Done)/float64(p.Total), 1)
		n := int(part * barWidth)
		fmt.Fprintf(&b, " [%s%s] %3.0f%% of %s", strings.Repeat("#", n), strings.Repeat("-", barWidth-n), part*100, sizeText(p.Total))
		if part > 0 && took > time.Second {
			fmt.Fprintf(&b, ", %v left", time.Duration(float64(took)*(1-part)/part).Round(time.Second))
		}
	} else if p.Done > 0 {
		b.WriteString(" " + sizeText(p.Done))
	}
	if p.Keys > 0 {
		fmt.Fprintf(&b, ", %d keys", p.Keys)
	}
	if p.Commands > 0 {
		fmt.Fprintf(&b, ", %d commands", p.Commands)
	}
	if p.Stage == "stream" {
		fmt.Fprintf(&b, ", %s behind", sizeText(p.Behind))
	}
	return b.String()
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	unit := 0
	f := float64(n)
	for f >= 1024 && unit < 4 {
		f /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, [...]string{"", "KiB", "MiB", "GiB", "TiB"}[unit])
}

// untilInterrupted is closed at the first SIGINT or SIGTERM; the second one ends the
// program as ever. over gives the signals back.
func untilInterrupted() (stop <-chan struct{}, over func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		if _, ok := <-signals; ok {
			signal.Stop(signals)
			close(done)
		}
	}()
	return done, func() {
		signal.Stop(signals)
		close(signals)
	}
}
