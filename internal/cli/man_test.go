package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const manPage = "../../docs/man/archy-recovery.1.md"

// archy-recovery(1) has a section for each command and an entry for each option,
// and no others.
func TestManPageComplete(t *testing.T) {
	text, err := os.ReadFile(manPage)
	if err != nil {
		t.Fatal(err)
	}
	sections := manSections(string(text))
	root := testProgram.newRoot()
	root.InitDefaultCompletionCmd()

	// The page has what the program has.
	known := map[string]map[string]bool{} // by section, the options of the program
	collect := func(section string, flags *pflag.FlagSet) {
		if known[section] == nil {
			known[section] = map[string]bool{}
		}
		flags.VisitAll(func(f *pflag.Flag) {
			known[section]["--"+f.Name] = true
			entry := "**--" + f.Name + "**"
			if f.Shorthand != "" {
				known[section]["-"+f.Shorthand] = true
				entry = "**-" + f.Shorthand + "**, " + entry
			}
			if body, ok := sections[section]; ok && !strings.Contains(body, "\n"+entry) {
				t.Errorf("%s: %q lacks an option. Add:\n\n%s\n:   %s.\n", manPage, section, entry, f.Usage)
			}
		})
	}
	collect("OPTIONS", root.PersistentFlags())
	known["OPTIONS"]["--help"], known["OPTIONS"]["-h"] = true, true
	walk(root, func(c *cobra.Command) {
		section := sectionOf(c)
		if _, ok := sections[section]; !ok {
			use := strings.TrimSuffix(strings.TrimPrefix(c.UseLine(), "archy-recovery "), " [flags]")
			t.Errorf("%s: no section for a command. Add:\n\n## %s\n%s.\n", manPage, use, c.Short)
		}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.AddFlagSet(c.LocalNonPersistentFlags())
		flags.AddFlagSet(c.PersistentFlags())
		collect(section, flags)
	})

	// The program has what the page has.
	for section, body := range sections {
		options, ok := known[section]
		if !ok {
			t.Errorf("%s: %q describes no command of the program", manPage, section)
			continue
		}
		for _, line := range strings.Split(body, "\n") {
			if !strings.HasPrefix(line, "**-") {
				continue
			}
			for _, option := range manOption.FindAllStringSubmatch(line, -1) {
				if !options[option[1]] {
					t.Errorf("%s: %q has the option %s, but the command does not", manPage, section, option[1])
				}
			}
		}
	}
}

var manOption = regexp.MustCompile(`\*\*(--?[a-z][a-z-]*)\*\*`)

// manSections are the bodies of "# OPTIONS" and of the sections below
// "# COMMANDS", by the part of the heading that names the command.
func manSections(text string) map[string]string {
	sections := map[string]string{}
	part, name := "", ""
	for line := range strings.Lines(text) {
		if h, ok := strings.CutPrefix(line, "# "); ok {
			part, name = strings.TrimSpace(h), ""
			if part == "OPTIONS" {
				name = part
			}
		} else if h, ok := strings.CutPrefix(line, "## "); ok && part == "COMMANDS" {
			words := strings.Fields(h)
			end := slices.IndexFunc(words, isArgument)
			if end >= 0 {
				words = words[:end]
			}
			name = strings.Join(words, " ")
			sections[name] = ""
		}
		if name != "" {
			sections[name] += line
		}
	}
	return sections
}

// isArgument reports whether a word of a heading is an argument, such as NAME.
func isArgument(word string) bool {
	return word != strings.ToLower(word) || strings.ContainsAny(word, "[<")
}

// sectionOf is the heading that describes the command. The shells of completion
// share one.
func sectionOf(c *cobra.Command) string {
	path := strings.TrimPrefix(c.CommandPath(), "archy-recovery ")
	if strings.HasPrefix(path, "completion ") {
		return "completion"
	}
	return path
}

// walk calls f for each command that --help shows.
func walk(c *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		f(sub)
		walk(sub, f)
	}
}
