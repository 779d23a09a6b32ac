package command

// What EXPIRE, HEXPIRE and their kin have in common.

// Past tells whether a key with this deadline is to be deleted at once. What
// is replayed keeps it: the deletion comes as an effect of its own.
func (c *Ctx) Past(deadline int64) bool { return deadline <= c.Now && !c.Replaying }
