package tyrant

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"kvd/command"
	"kvd/resp/wire"
)

// Version is what clients are told.
const Version = "1.1.41"

func rnum(c *command.Ctx) {
	n, _ := c.S.Keyspace.Size(c.DB(), c.HoldsAll())
	c.W.Buf = binary.BigEndian.AppendUint64(append(c.W.Buf, codeOK), uint64(n))
}

func size(c *command.Ctx) {
	n := c.S.Keyspace.Bytes(c.DB(), c.HoldsAll())
	c.W.Buf = binary.BigEndian.AppendUint64(append(c.W.Buf, codeOK), uint64(n))
}

// stat replies with names and values.
func stat(c *command.Ctx) {
	keys, _ := c.S.Keyspace.Size(c.DB(), c.HoldsAll())
	text := statText(c, time.Now(), "on-memory hash", "*", int64(keys), c.S.Keyspace.Bytes(c.DB(), c.HoldsAll()))
	c.W.Buf = append(appendInt(append(c.W.Buf, codeOK), len(text)), text...)
}

// syncLog replies when what was written so far is on the disk. Without a log there is
// nothing to bring there: snapshots come by the save points.
func syncLog(c *command.Ctx) {
	if !c.S.Config.AppendOnly.Load() {
		code(c, codeOK)
		return
	}
	s := c.S
	background(c, func(w *wire.Writer) {
		if s.AppendLog().Flush() != nil {
			w.Buf = append(w.Buf, codeFail)
			return
		}
		w.Buf = append(w.Buf, codeOK)
	})
}

// statText is names and values.
func statText(c *command.Ctx, now time.Time, kind, path string, records, size int64) string {
	return fmt.Sprintf("version\t%s\ntime\t%.6f\npid\t%d\nsid\t0\ntype\t%s\npath\t%s\nrnum\t%d\nsize\t%d\nbigend\t0\nru_real\t%.6f\n",
		Version, float64(now.UnixMicro())/1e6, os.Getpid(), kind, path, records, size, now.Sub(c.S.Started).Seconds())
}
