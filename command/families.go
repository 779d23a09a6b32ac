package command

// Families is the literal list of what commands there are: the rows of each
// family, made anew at each call.
func Families() [][]*Row {
	return [][]*Row{
		// Values by their types.
		stringRows(), stringNewRows(), lcsRows(), throttleRows(), bitsRows(), hllRows(),
		listRows(), listMoveRows(), listBlockRows(),
		setRows(), setAlgebraRows(),
		hashRows(), hashExpireRows(),
		zsetRows(), zsetRangeRows(), zsetAlgebraRows(), zsetBlockRows(), zsetDueRows(),
		geoRows(), geoSearchRows(),
		streamRows(), streamReadRows(), streamGroupRows(), streamInfoRows(),
		// Keys of any type.
		genericRows(), expireRows(), scanRows(), sortRows(), dumpRows(), migrateRows(), keyjobRows(),
		// Several commands as one.
		multiRows(), scriptRows(), functionRows(),
		// Connections and messages.
		connectionRows(), clientRows(), pubsubRows(), aclRows(),
		// The server.
		serverRows(), commandRows(), configRows(), infoRows(), memoryRows(), debugRows(),
		slowlogRows(), latencyRows(), monitorRows(), absentRows(),
		// Persistence and replication.
		persistRows(), aofRows(), replicationRows(), replicaofRows(), clusterOffRows(),
	}
}
