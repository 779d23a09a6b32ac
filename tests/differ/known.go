package differ

// Where kvd is documented to differ from Redis 7.0.15, and why. What is not listed here has to be equal.

// encodings are kvd's answers of OBJECT ENCODING (first) in place of 7.0's (second): Redis 7.2 made small
// sets and small lists listpacks, and kvd follows it.
var encodings = map[[2]string]bool{
	{"listpack", "hashtable"}: true,
	{"listpack", "quicklist"}: true,
}

// infoFields are the fields of COMMAND INFO that are compared, by their place.
var infoFields = []string{"name", "arity", "flags", "first key", "last key", "step"}

// infoDiffers names, for a command, the fields of COMMAND INFO in which kvd differs on purpose:
// commands that took more options after 7.0. The value says what and why.
var infoDiffers = map[string]map[string]string{
	"zrank":    {"arity": "WITHSCORE came with 7.2"},
	"zrevrank": {"arity": "WITHSCORE came with 7.2"},
}

// helloFree are the fields of HELLO's reply that are the server's own affair.
var helloFree = map[string]bool{"version": true, "id": true}
