package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// worseBy is how much a ratio kvd/redis must have become worse for it to be told: less is
// within what two runs of the same program differ by.
const worseBy = 0.05

// past is what an earlier run wrote with -json.
type past struct {
	Time    time.Time `json:"time"`
	Metrics []struct {
		Name     string   `json:"name"`
		Unit     string   `json:"unit"`
		Ratio    *float64 `json:"ratio"`
		RatioMin *float64 `json:"ratio_min"`
		RatioMax *float64 `json:"ratio_max"`
	} `json:"metrics"`
}

// readPast reads an earlier run: a file, or the last of those in a directory by name.
func readPast(path string) (run past, err error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		files, err := filepath.Glob(filepath.Join(path, "*.json"))
		if err != nil || len(files) == 0 {
			return run, fmt.Errorf("%s has no earlier run", path)
		}
		path = slices.Max(files)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return run, err
	}
	if err := json.Unmarshal(b, &run); err != nil {
		return run, fmt.Errorf("%s: %w", path, err)
	}
	return run, nil
}

// against tells which figures stand worse beside Redis's than in an earlier run. The ratios
// are compared, not the figures: both servers run on the same machine, which may be another one by now.
// A figure counts as worse if its ratio is so by worseBy and the ratios of all rounds are on that side.
func (p *report) against(run past) (worse int) {
	before := map[string]int{}
	for i, m := range run.Metrics {
		if m.Ratio != nil && m.RatioMin != nil && m.RatioMax != nil {
			before[m.Name] = i
		}
	}
	compared := 0
	fmt.Fprintf(p.out, "\nAgainst the run of %s:\n\n", run.Time.Format("2006-01-02 15:04"))
	for _, m := range p.metrics {
		i, ok := before[m.Name]
		now := ratioOf(m.Kvd, m.Redis)
		if !ok || !(now.Median > 0) || *run.Metrics[i].Ratio <= 0 {
			continue
		}
		was, bad := run.Metrics[i], false
		switch m.Unit {
		case "ns", "us", "ms", "s", "B", "MiB": // the less the better
			bad = now.Median > *was.Ratio*(1+worseBy) && now.Min > *was.RatioMax
		case "1/s":
			bad = now.Median < *was.Ratio*(1-worseBy) && now.Max < *was.RatioMin
		default: // shares and counts, of which neither can be said
			continue
		}
		compared++
		if bad {
			worse++
			fmt.Fprintf(p.out, "WORSE %s: kvd/redis is %.2f (%.2f to %.2f), was %.2f (%.2f to %.2f)\n", m.Name, now.Median, now.Min, now.Max, *was.Ratio, *was.RatioMin, *was.RatioMax)
		}
	}
	fmt.Fprintf(p.out, "%d figures compared, %d worse\n", compared, worse)
	return worse
}
