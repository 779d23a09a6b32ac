package command

import (
	"strconv"

	"kvd/resp/wire"
)

// BACKUP, of Redis 8.10: a set of files as those of the log, which a server that is given
// them as its log loads, written beside the log and whether there is one or not.

func backupRows() []*Row {
	const changes, tells = Admin | NoScript | NoMulti | NoAsyncLoading, Admin | Loading | Stale
	file := func(name string, do func(p Persistence) error, summary string) *Row {
		return &Row{Name: name, Arity: 2, Flags: changes, Since: "8.10.0", Summary: summary, Complexity: "O(1)", Fn: func(c *Ctx) {
			p := c.S.persist
			c.Background(func(w *wire.Writer) {
				if err := do(p); err != nil {
					w.Error("ERR " + err.Error())
					return
				}
				w.OK()
			})
		}}
	}
	return []*Row{{Name: "backup", Arity: -2, Since: "8.10.0", Group: "server", Summary: "Commands about backups.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			file("abort", Persistence.BackupAbort, "Gives up a backup that is not sealed yet."),
			file("cleanup", Persistence.BackupCleanup, "Removes the files of a sealed or failed backup."),
			HelpRow("8.10.0",
				"ABORT",
				"    Give up a backup that is not sealed yet.",
				"CLEANUP",
				"    Remove the files of a backup that is sealed or has failed.",
				"LIST",
				"    Return the paths of those files of the backup that change no more.",
				"SEAL",
				"    End the backup: its files are whole, and name what the data is now.",
				"START",
				"    Begin a backup in the directory backupdirname.",
				"STATUS",
				"    Return the state of the backup.",
			),
			{Name: "list", Fn: cmdBackupList, Arity: 2, Flags: tells, Since: "8.10.0", Summary: "Returns the paths of the files of a backup that change no more.", Complexity: "O(1)"},
			file("seal", Persistence.BackupSeal, "Ends a backup, whose files are whole then."),
			file("start", Persistence.BackupStart, "Begins a backup."),
			{Name: "status", Fn: cmdBackupStatus, Arity: 2, Flags: tells, Since: "8.10.0", Summary: "Returns the state of the backup.", Complexity: "O(1)"},
		}}}
}

func cmdBackupList(c *Ctx) {
	paths := c.S.persist.BackupFiles()
	c.W.Array(len(paths))
	for _, p := range paths {
		c.W.BulkString(p)
	}
}

func cmdBackupStatus(c *Ctx) {
	state, why, started, sealed := c.S.persist.BackupStatus()
	c.W.Map(4)
	for _, f := range [][2]string{{"state", state}, {"error", why}, {"start_time", strconv.FormatInt(started, 10)}, {"end_time", strconv.FormatInt(sealed, 10)}} {
		c.W.BulkString(f[0])
		c.W.BulkString(f[1])
	}
}
