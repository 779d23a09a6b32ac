package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"kvd/config"
	"kvd/logf"
)

// oomScore obeys oom-score-adj: how early the kernel ends the process where memory is
// short, by the role that the server has. Source: proc_pid_oom_score_adj(5), and the
// comment above the directive in redis.conf.
type oomScore struct {
	cfg  *config.Config
	log  *logf.Logger
	path string
	base atomic.Int64 // what it was before
	ours atomic.Bool  // it is not what it was before
}

const (
	oomScorePath = "/proc/self/oom_score_adj"
	oomScoreMost = 1000
)

func newOOMScore(cfg *config.Config, log *logf.Logger) *oomScore {
	o := &oomScore{cfg: cfg, log: log, path: oomScorePath}
	for _, name := range []string{"oom-score-adj", "oom-score-adj-values"} {
		cfg.OnChange(name, func() error {
			if o.set() != nil {
				return errors.New("Failed to apply new oom_score_adj configuration, check server logs.")
			}
			return nil
		})
	}
	return o
}

// set writes the score of the present role. The error is logged.
func (o *oomScore) set() (err error) {
	defer func() {
		if err != nil {
			o.log.Warningf("Unable to write oom_score_adj: %v", err)
		}
	}()
	mode := o.cfg.OOMScoreAdj.Load()
	value := o.base.Load()
	switch {
	case mode == "no" && !o.ours.Load():
		return nil
	case mode == "no":
		o.ours.Store(false)
	default:
		if !o.ours.Load() {
			text, err := os.ReadFile(o.path)
			if err != nil {
				return err
			}
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			if err != nil {
				return err
			}
			o.base.Store(n)
			o.ours.Store(true)
		}
		role := 0
		if o.cfg.ReplicaOf.Load().Host != "" {
			role = 1
		}
		value = o.cfg.OOMScoreAdjValues.Load()[role]
		if mode != "absolute" {
			value += o.base.Load()
		}
		value = min(max(value, -oomScoreMost), oomScoreMost)
	}
	return os.WriteFile(o.path, strconv.AppendInt(nil, value, 10), 0)
}
