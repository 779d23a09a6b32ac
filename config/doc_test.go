package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

// TestConfigurationDoc holds docs/configuration.md, which is made of the table.
func TestConfigurationDoc(t *testing.T) {
	const path = "../docs/configuration.md"
	want := configurationDoc()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/configuration.md is not what the table says: go test ./config -run TestConfigurationDoc -update")
	}
}

// configurationDoc lists the directives by group: those that act first, then those that
// are accepted and mean nothing, with the reason, then those that are refused.
func configurationDoc() string {
	var b strings.Builder
	b.WriteString(`# Configuration

This page is made from the table in config/directives.go; do not edit it. Every directive may stand in a file (kvd /path/to/redis.conf), on the command line (--name value) and, where the column "at run time" says so, in CONFIG SET; CONFIG REWRITE writes the file anew. Sizes take the units k, kb, m, mb, g, gb. A directive that is also a limit has its range beside its default.
`)
	for _, g := range Groups {
		var acts, inert, refused []Directive
		for _, d := range Directives() {
			switch {
			case d.Group != g || d.Flags&Hidden != 0 || d.Kind == KindObsolete:
			case d.Effect == Acts:
				acts = append(acts, d)
			case d.Effect == Inert:
				inert = append(inert, d)
			default:
				refused = append(refused, d)
			}
		}
		if len(acts)+len(inert)+len(refused) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n", g)
		if len(acts) > 0 {
			b.WriteString("\n| directive | default | values | at run time | |\n| --- | --- | --- | --- | --- |\n")
		}
		for _, d := range acts {
			name, when := "`"+d.Name+"`", ""
			if d.Alias != "" {
				name += ", `" + d.Alias + "`"
			}
			switch {
			case d.Changeable() && d.Flags&Protected != 0:
				when = "where enable-protected-configs allows it"
			case d.Changeable():
				when = "yes"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, code(d.Default), values(&d), when, cell(d.Help))
		}
		if len(inert) > 0 {
			b.WriteString("\nAccepted, with a warning, since they can have no meaning here:\n\n")
		}
		for _, d := range inert {
			fmt.Fprintf(&b, "- `%s`: %s.\n", d.Name, d.Why)
		}
		if len(refused) > 0 {
			b.WriteString("\nRefused unless they have their defaults, or `ignore-unsupported` is yes:\n\n")
		}
		for _, d := range refused {
			fmt.Fprintf(&b, "- `%s` (%s): %s\n", d.Name, code(d.Default), d.Help)
		}
	}
	return b.String()
}

// values says what a directive may be.
func values(d *Directive) string {
	switch d.Kind {
	case KindBool:
		return "yes, no"
	case KindEnum, KindFlags:
		return strings.Join(d.Values, ", ")
	case KindInt, KindMemory, KindMemPercent, KindOctal:
		least, most := d.Min, d.Max
		if d.least != 0 || d.most != 0 {
			least, most = d.least, d.most
		}
		switch {
		case most >= maxInt && least == 0:
			return "0 or more"
		case most >= maxInt:
			return fmt.Sprintf("%d or more", least)
		case d.Kind == KindOctal:
			return fmt.Sprintf("%o to %o", least, most)
		}
		return fmt.Sprintf("%d to %d", least, most)
	}
	return ""
}

// code is a value as it stands in a file.
func code(s string) string {
	if s == "" {
		return "empty"
	}
	return "`" + s + "`"
}

// cell is text that a table may hold.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
