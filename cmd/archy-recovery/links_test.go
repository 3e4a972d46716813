package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkOfPage = regexp.MustCompile(`\]\(([^)\s:]*)\)`) // no address has a colon but those of other hosts
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInID    = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
	codeBlock  = regexp.MustCompile("(?ms)^```.*?^```")
)

// Each link of a page to another page, or to a part of one, leads there: a part that an
// edit takes away by mistake is missed.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%q, %v", pages, err)
	}
	pages = append(pages, "../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md")
	links := 0
	for _, page := range pages {
		for _, link := range linkOfPage.FindAllStringSubmatch(withoutCode(t, page), -1) {
			links++
			path, part, _ := strings.Cut(link[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, link[1], err)
				continue
			}
			if part != "" && !partsOf(withoutCode(t, target))[part] {
				t.Errorf("%s links to %s, and there is no such part", page, link[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

func withoutCode(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return codeBlock.ReplaceAllString(string(text), "")
}

// partsOf are the parts of a page, by the IDs that GitHub and GitLab give its headings.
func partsOf(text string) map[string]bool {
	parts := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		id := notInID.ReplaceAllString(strings.ToLower(h[1]), "")
		parts[strings.ReplaceAll(id, " ", "-")] = true
	}
	return parts
}
