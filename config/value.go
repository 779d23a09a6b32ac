package config

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// value is what a directive's row holds at run time. set and the function
// that save returns run under Config.mu (or before the Config is shared);
// text may run at any time.
type value interface {
	// set parses the arguments and stores the result, or changes nothing and returns the reason.
	set(d *Directive, args []string) error
	// text is CONFIG GET's answer.
	text(d *Directive) string
	// save returns a function that brings the present value back.
	save() (restore func() error)
}

// box is a value that is replaced as a whole and never changed in place.
type box[T any] struct{ p atomic.Pointer[T] }

func (b *box[T]) load() (v T) {
	if p := b.p.Load(); p != nil {
		v = *p
	}
	return v
}

func (b *box[T]) store(v T) { b.p.Store(&v) }

func (b *box[T]) save() func() error {
	old := b.p.Load()
	return func() error { b.p.Store(old); return nil }
}

// Bool is the handle of a yes/no directive.
type Bool struct{ v atomic.Bool }

// Load returns the present value.
func (b *Bool) Load() bool { return b.v.Load() }

func (b *Bool) set(_ *Directive, args []string) error {
	switch strings.ToLower(args[0]) {
	case "yes":
		b.v.Store(true)
	case "no":
		b.v.Store(false)
	default:
		return errors.New("argument must be 'yes' or 'no'")
	}
	return nil
}

func (b *Bool) text(*Directive) string {
	if b.v.Load() {
		return "yes"
	}
	return "no"
}

func (b *Bool) save() func() error {
	old := b.v.Load()
	return func() error { b.v.Store(old); return nil }
}

// Int is the handle of a number: a count, a time in the unit that the
// directive's help names, bytes, or file permissions.
type Int struct{ v atomic.Int64 }

// Load returns the present value. A FullRange directive above 2^63-1 reads as
// negative; Uint64 reads it whole. A percentage reads as negative.
func (n *Int) Load() int64 { return n.v.Load() }

// Uint64 returns the present value of a FullRange directive.
func (n *Int) Uint64() uint64 { return uint64(n.v.Load()) }

func (n *Int) set(d *Directive, args []string) error {
	v, err := parseNumber(d, args[0])
	if err == nil {
		n.v.Store(v)
	}
	return err
}

func (n *Int) text(d *Directive) string {
	v := n.v.Load()
	switch {
	case d.Kind == KindMemPercent && v < 0:
		return strconv.FormatInt(-v, 10) + "%"
	case d.Kind == KindOctal:
		return strconv.FormatInt(v, 8)
	case d.Flags&FullRange != 0:
		return strconv.FormatUint(uint64(v), 10)
	}
	return strconv.FormatInt(v, 10)
}

func (n *Int) save() func() error {
	old := n.v.Load()
	return func() error { n.v.Store(old); return nil }
}

// parseNumber parses and checks the argument of a numeric directive.
func parseNumber(d *Directive, s string) (int64, error) {
	var v int64
	inRange := true
	switch d.Kind {
	case KindMemory, KindMemPercent:
		if digits, ok := strings.CutSuffix(s, "%"); ok && d.Kind == KindMemPercent {
			p, err := strictInt(digits)
			if err != nil || p < 0 {
				return 0, errors.New("argument must be a memory or percent value")
			}
			if p > -d.Min {
				return 0, fmt.Errorf("percentage argument must be less or equal to %d", -d.Min)
			}
			return -p, nil
		}
		u, ok := parseMemory(s)
		if !ok && d.Kind == KindMemPercent {
			return 0, errors.New("argument must be a memory or percent value")
		}
		if !ok {
			return 0, errors.New("argument must be a memory value")
		}
		if d.Flags&FullRange != 0 {
			return int64(u), nil
		}
		v, inRange = int64(u), u <= math.MaxInt64
	case KindOctal:
		var err error
		if v, err = cInt(s, 8); err != nil {
			return 0, errors.New("argument couldn't be parsed as an octal number")
		}
	default:
		var err error
		if v, err = strictInt(s); err != nil {
			return 0, errors.New("argument couldn't be parsed into an integer")
		}
	}
	if !inRange || v < d.Min || v > d.Max {
		if d.Kind == KindOctal {
			return 0, fmt.Errorf("argument must be between %o and %o inclusive", d.Min, d.Max)
		}
		return 0, fmt.Errorf("argument must be between %d and %d inclusive", d.Min, d.Max)
	}
	return v, nil
}

// strictInt parses what Redis takes for a number: no space, plus sign or leading zero.
func strictInt(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err == nil && strconv.FormatInt(v, 10) != s {
		err = strconv.ErrSyntax
	}
	return v, err
}

// cInt parses as C's strtoll with a check of the end: leading space, a plus
// sign and zeros are allowed, and an empty text is zero.
func cInt(s string, base int) (int64, error) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if s == "" {
		return 0, nil
	}
	return strconv.ParseInt(s, base, 64)
}

// ParseMemory reads a number of bytes with a unit as redis.conf has it: 100, 1k, 5GB.
func ParseMemory(s string) (bytes uint64, ok bool) { return parseMemory(s) }

// parseMemory parses a number of bytes with an optional unit: k, m and g are
// decimal, kb, mb and gb binary, in any letter case. As in Redis the digits
// may be missing, and more digits than fit saturate; a product that does not fit is an
// error here, where Redis wraps around.
func parseMemory(s string) (bytes uint64, ok bool) {
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	var unit uint64
	switch strings.ToLower(s[digits:]) {
	case "", "b":
		unit = 1
	case "k":
		unit = 1000
	case "kb":
		unit = 1 << 10
	case "m":
		unit = 1000 * 1000
	case "mb":
		unit = 1 << 20
	case "g":
		unit = 1000 * 1000 * 1000
	case "gb":
		unit = 1 << 30
	default:
		return 0, false
	}
	if digits == 0 {
		return 0, true
	}
	v, err := strconv.ParseUint(s[:digits], 10, 64)
	if err != nil && unit == 1 {
		return math.MaxUint64, true
	}
	if err != nil || v > math.MaxUint64/unit {
		return 0, false
	}
	return v * unit, true
}

// formatMemory writes bytes with the largest binary unit that divides them.
func formatMemory(v uint64) string {
	for _, u := range []struct {
		size uint64
		name string
	}{{1 << 30, "gb"}, {1 << 20, "mb"}, {1 << 10, "kb"}} {
		if v != 0 && v%u.size == 0 {
			return strconv.FormatUint(v/u.size, 10) + u.name
		}
	}
	return strconv.FormatUint(v, 10)
}

// String is the handle of a text directive.
type String struct{ box[string] }

// Load returns the present value.
func (s *String) Load() string { return s.load() }

func (s *String) set(d *Directive, args []string) error {
	if d.check != nil {
		if err := d.check(args[0]); err != nil {
			return err
		}
	}
	s.store(args[0])
	return nil
}

func (s *String) text(*Directive) string { return s.load() }

// Enum is the handle of a directive that takes one of several names.
type Enum struct {
	names []string
	v     atomic.Int32
}

// Load returns the present value's name, in the table's spelling.
func (e *Enum) Load() string { return e.names[e.v.Load()] }

// Index returns the present value's place among the row's Values.
func (e *Enum) Index() int { return int(e.v.Load()) }

func oneOf(names []string) error {
	return errors.New("argument(s) must be one of the following: " + strings.Join(names, ", "))
}

func (e *Enum) set(d *Directive, args []string) error {
	i := slices.IndexFunc(d.Values, func(n string) bool { return strings.EqualFold(n, args[0]) })
	if i < 0 {
		return oneOf(d.Values)
	}
	e.v.Store(int32(i))
	return nil
}

func (e *Enum) text(*Directive) string { return e.Load() }

func (e *Enum) save() func() error {
	old := e.v.Load()
	return func() error { e.v.Store(old); return nil }
}

// FlagSet is the handle of a directive that takes several names. The first of
// the row's Values stands for none of the others.
type FlagSet struct{ box[[]string] }

// Load returns the chosen names in the table's order; the slice must not be changed.
func (f *FlagSet) Load() []string { return f.load() }

func (f *FlagSet) set(d *Directive, args []string) error {
	if len(args) == 0 {
		return oneOf(d.Values)
	}
	var chosen []string
	for _, a := range args {
		if !slices.ContainsFunc(d.Values, func(n string) bool { return strings.EqualFold(n, a) }) {
			return oneOf(d.Values)
		}
	}
	for _, n := range d.Values[1:] {
		if slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(n, a) }) {
			chosen = append(chosen, n)
		}
	}
	if d.check != nil {
		if err := d.check(strings.Join(chosen, " ")); err != nil {
			return err
		}
	}
	f.store(chosen)
	return nil
}

func (f *FlagSet) text(d *Directive) string {
	if chosen := f.load(); len(chosen) > 0 {
		return strings.Join(chosen, " ")
	}
	return d.Values[0]
}

// maxStrings is Redis's limit on the addresses of bind.
const maxStrings = 16

// Strings is the handle of a list of arguments.
type Strings struct{ box[[]string] }

// Load returns the present list; it must not be changed.
func (s *Strings) Load() []string { return s.load() }

func (s *Strings) set(_ *Directive, args []string) error {
	if len(args) > maxStrings {
		return errors.New("Too many bind addresses specified.")
	}
	if len(args) == 1 && args[0] == "" {
		args = nil
	}
	s.store(slices.Clone(args))
	return nil
}

func (s *Strings) text(*Directive) string { return strings.Join(s.load(), " ") }

// SavePoint asks for a snapshot when Seconds have passed since the last one
// and at least Changes keys changed.
type SavePoint struct{ Seconds, Changes int64 }

// Save is the handle of the save directive.
type Save struct{ box[[]SavePoint] }

// Load returns the present save points; the slice must not be changed.
func (s *Save) Load() []SavePoint { return s.load() }

func (s *Save) set(_ *Directive, args []string) error {
	if len(args) == 1 && args[0] == "" {
		args = nil
	}
	bad := errors.New("Invalid save parameters")
	if len(args)%2 != 0 {
		return bad
	}
	var points []SavePoint
	for i := 0; i < len(args); i += 2 {
		seconds, err1 := cInt(args[i], 10)
		changes, err2 := cInt(args[i+1], 10)
		if err1 != nil || err2 != nil || seconds < 1 || changes < 0 || changes > maxInt {
			return bad
		}
		points = append(points, SavePoint{seconds, changes})
	}
	s.store(points)
	return nil
}

func (s *Save) text(*Directive) string {
	var b []byte
	for i, p := range s.load() {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, p.Seconds, 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, p.Changes, 10)
	}
	return string(b)
}

// OutputLimit bounds the unsent replies of one client, in bytes; 0 is no limit.
type OutputLimit struct {
	Hard, Soft  uint64
	SoftSeconds int64 // how long Soft may be exceeded
}

// The client classes of OutputLimits.
const (
	ClassNormal = iota
	ClassReplica
	ClassPubsub
	numClasses
)

// classNames are CONFIG GET's names; "replica" is read and written as well.
var classNames = [numClasses]string{"normal", "slave", "pubsub"}

// OutputLimits is the handle of client-output-buffer-limit.
type OutputLimits struct{ box[[numClasses]OutputLimit] }

// Load returns the present limits, by client class.
func (o *OutputLimits) Load() [numClasses]OutputLimit { return o.load() }

func classIndex(name string) int {
	if strings.EqualFold(name, "replica") {
		return ClassReplica
	}
	return slices.IndexFunc(classNames[:], func(n string) bool { return strings.EqualFold(n, name) })
}

func (o *OutputLimits) set(_ *Directive, args []string) error {
	if len(args)%4 != 0 {
		return errors.New("Wrong number of arguments in buffer limit configuration.")
	}
	limits := o.load()
	for ; len(args) > 0; args = args[4:] {
		class := classIndex(args[0])
		if class < 0 {
			return errors.New("Invalid client class specified in buffer limit configuration.")
		}
		hard, ok1 := parseMemory(args[1])
		soft, ok2 := parseMemory(args[2])
		seconds, err := cInt(args[3], 10)
		if !ok1 || !ok2 || err != nil || seconds < 0 || seconds > maxInt {
			return errors.New("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
		}
		limits[class] = OutputLimit{hard, soft, seconds}
	}
	o.store(limits)
	return nil
}

func (o *OutputLimits) text(*Directive) string {
	var parts []string
	for i, l := range o.load() {
		parts = append(parts, fmt.Sprintf("%s %d %d %d", classNames[i], l.Hard, l.Soft, l.SoftSeconds))
	}
	return strings.Join(parts, " ")
}

// Percentiles is the handle of a list of percentages from 0 to 100.
type Percentiles struct{ box[[]float64] }

// Load returns the present list; it must not be changed.
func (p *Percentiles) Load() []float64 { return p.load() }

func (p *Percentiles) set(_ *Directive, args []string) error {
	if len(args) == 1 && args[0] == "" {
		args = nil
	}
	var list []float64
	for _, a := range args {
		v, err := strconv.ParseFloat(a, 64)
		if err != nil || math.IsNaN(v) || strings.ContainsAny(a, "_ xX") {
			return errors.New("Invalid latency-tracking-info-percentiles parameters")
		}
		if v < 0 || v > 100 {
			return errors.New("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
		}
		list = append(list, v)
	}
	p.store(list)
	return nil
}

func (p *Percentiles) text(*Directive) string {
	var parts []string
	for _, v := range p.load() {
		s := strconv.FormatFloat(v, 'f', 6, 64)
		parts = append(parts, strings.TrimSuffix(strings.TrimRight(s, "0"), "."))
	}
	return strings.Join(parts, " ")
}

// Events is the handle of notify-keyspace-events: a set of event classes.
type Events struct{ v atomic.Uint32 }

// EventLetters lists the letters of keyspace event classes; the bit of a class
// in Events.Load is 1 << its place here. A stands for the first ten and a.
// Those from o on are of Redis 8.2 and 8.8.
const EventLetters = "g$lshzxetdKEmnocSTIVa"

const allEvents = 1<<10 - 1 | arrayEvents

const arrayEvents = 1 << 20

// Load returns the present classes as bits.
func (e *Events) Load() uint32 { return e.v.Load() }

// EventBits returns the bits of the letters, as Events.Load gives them.
func EventBits(letters string) (bits uint32, ok bool) {
	for _, c := range []byte(letters) {
		i := strings.IndexByte(EventLetters, c)
		switch {
		case c == 'A':
			bits |= allEvents
		case i >= 0:
			bits |= 1 << i
		default:
			return 0, false
		}
	}
	return bits, true
}

func (e *Events) set(_ *Directive, args []string) error {
	bits, ok := EventBits(args[0])
	if !ok {
		return errors.New("Invalid event class character. Use 'Ag$lshzxeKEtmdnocSTIVa'.")
	}
	e.v.Store(bits)
	return nil
}

func (e *Events) text(*Directive) string {
	v := e.v.Load()
	var b []byte
	first := 0
	if v&allEvents == allEvents {
		b, first = append(b, 'A'), 10
	}
	// Redis writes 'n' inside the group that A replaces, and so loses it beside A.
	for i := first; i < len(EventLetters); i++ {
		if i == 10 && first == 0 && v&(1<<13) != 0 {
			b = append(b, 'n')
		}
		if i != 13 && v&(1<<i) != 0 && (first == 0 || 1<<i != arrayEvents) {
			b = append(b, EventLetters[i])
		}
	}
	return string(b)
}

func (e *Events) save() func() error {
	old := e.v.Load()
	return func() error { e.v.Store(old); return nil }
}

// Address is a host and port.
type Address struct {
	Host string // empty: none
	Port int
}

// ReplicaOf is the handle of replicaof.
type ReplicaOf struct{ box[Address] }

// Load returns the master's address, whose Host is empty when there is none.
func (r *ReplicaOf) Load() Address { return r.load() }

// Store is for REPLICAOF: CONFIG SET cannot change the master.
func (r *ReplicaOf) Store(a Address) { r.store(a) }

func (r *ReplicaOf) set(_ *Directive, args []string) error {
	if len(args) == 0 { // only the table's default and a rollback say nothing at all
		r.store(Address{})
		return nil
	}
	if len(args) != 2 {
		return errors.New("wrong number of arguments")
	}
	if strings.EqualFold(args[0], "no") && strings.EqualFold(args[1], "one") {
		r.store(Address{})
		return nil
	}
	port, err := cInt(args[1], 10)
	if err != nil || port < 0 || port > 65535 {
		return errors.New("Invalid master port")
	}
	r.store(Address{args[0], int(port)})
	return nil
}

func (r *ReplicaOf) text(*Directive) string {
	a := r.load()
	if a.Host == "" {
		return ""
	}
	return a.Host + " " + strconv.Itoa(a.Port)
}

// OOMScores is the handle of oom-score-adj-values.
type OOMScores struct{ box[[3]int64] }

// Load returns the scores of a leader, a follower and (in Redis) a child.
func (o *OOMScores) Load() [3]int64 { return o.load() }

func (o *OOMScores) set(_ *Directive, args []string) error {
	var scores [3]int64
	if len(args) != len(scores) {
		return errors.New("wrong number of arguments")
	}
	for i, a := range args {
		v, err := cInt(a, 10)
		if err != nil || v < -2000 || v > 2000 {
			return errors.New("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
		}
		scores[i] = v
	}
	o.store(scores)
	return nil
}

func (o *OOMScores) text(*Directive) string {
	s := o.load()
	return fmt.Sprintf("%d %d %d", s[0], s[1], s[2])
}

// Dir is the handle of dir: the process's working directory itself, so that
// relative paths mean what redis.conf says. A server that shares its process with
// others has a directory of its own instead (see Config.OwnDir), which only the data
// files go by.
type Dir struct {
	own atomic.Pointer[string] // nil: the process's
}

// Load returns the directory as an absolute path, or "" when the system cannot tell.
func (d *Dir) Load() string {
	dir, err := d.Path()
	if err != nil {
		return ""
	}
	return dir
}

// Path is the directory that data files are in, as an absolute path.
func (d *Dir) Path() (string, error) {
	if own := d.own.Load(); own != nil {
		return *own, nil
	}
	return os.Getwd()
}

func (d *Dir) set(_ *Directive, args []string) error {
	if own := d.own.Load(); own != nil {
		path := args[0]
		if !filepath.IsAbs(path) {
			path = filepath.Join(*own, path)
		}
		switch st, err := os.Stat(path); {
		case err != nil:
			return errors.New(systemError(err))
		case !st.IsDir():
			return errors.New(systemError(syscall.ENOTDIR))
		}
		path = filepath.Clean(path)
		d.own.Store(&path)
		return nil
	}
	if err := os.Chdir(args[0]); err != nil {
		return errors.New(systemError(err))
	}
	return nil
}

func (d *Dir) text(*Directive) string { return d.Load() }

func (d *Dir) save() func() error {
	if own := d.own.Load(); own != nil {
		return func() error { d.own.Store(own); return nil }
	}
	old := d.Load()
	return func() error { return os.Chdir(old) }
}

// nothing is the value of file-only and obsolete rows.
type nothing struct{}

func (nothing) set(*Directive, []string) error { return nil }
func (nothing) text(*Directive) string         { return "" }
func (nothing) save() func() error             { return func() error { return nil } }

// systemError is the operating system's reason alone, written as C's strerror does.
func systemError(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		err = no
	}
	s := err.Error()
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// newValue returns an empty value of the row's kind.
func newValue(d *Directive) value {
	switch d.Kind {
	case KindBool:
		return &Bool{}
	case KindInt, KindMemory, KindMemPercent, KindOctal:
		return &Int{}
	case KindString:
		return &String{}
	case KindEnum:
		return &Enum{names: d.Values}
	case KindFlags:
		return &FlagSet{}
	case KindStrings:
		return &Strings{}
	case KindSave:
		return &Save{}
	case KindLimits:
		return &OutputLimits{}
	case KindPercentiles:
		return &Percentiles{}
	case KindDBLimits:
		return &DBLimits{}
	case KindEvents:
		return &Events{}
	case KindReplicaOf:
		return &ReplicaOf{}
	case KindOOMScores:
		return &OOMScores{}
	case KindDir:
		return &Dir{}
	}
	return nothing{}
}
