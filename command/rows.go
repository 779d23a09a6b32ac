package command

import "slices"

// Rows are the commands that are part of the engine: families has the others.
func Rows() []*Row {
	return slices.Concat(
		multiRows(),
		scriptRows(),
		functionRows(),
		flagsRows(),
		connectionRows(),
		clientRows(),
		pubsubRows(),
		aclRows(),
		configRows(),
		infoRows(),
		memoryRows(),
		debugRows(),
		backupRows(),
		monitorRows(),
		persistRows(),
		aofRows(),
		replicationRows(),
		replicaofRows(),
	)
}
