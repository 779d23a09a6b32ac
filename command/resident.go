package command

// Resident is the process's resident memory in bytes; 0 where the system does not say.
func Resident() int64 { return residentMemory() }
