package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrigins(t *testing.T) {
	c, problems := Load(tree(map[string]string{
		"etc/archy-recovery.conf": "[Recovery]\n" +
			"DefaultTier=1\nMaxParallel=none\nMaxParallel=5\nSoakSec=9\nSoakSec=\n",
		"usr/lib/archy-recovery.conf.d/10-archy.conf": "[Recovery]\n" +
			"CleanBootList=a\nCleanBootList=\nCleanBootList=b\n[Tiers]\nTier0=x\nTier1=y\n",
		"etc/archy-recovery@1000.conf.d/50-local.conf": "[Recovery]\n" +
			"DefaultTier=2\nCleanBootList=c\n[Tiers]\nTier0=z\nTier1=\n",
	}), "1000")
	if len(problems) != 1 {
		t.Errorf("problems %q", problems)
	}
	local, archy := "/etc/archy-recovery@1000.conf.d/50-local.conf", "/usr/lib/archy-recovery.conf.d/10-archy.conf"
	want := Origins{
		"DefaultTier":   {{local, 2}},
		"MaxParallel":   {{"/etc/archy-recovery.conf", 4}},
		"CleanBootList": {{archy, 4}, {local, 3}},
		"Tier0":         {{archy, 6}, {local, 5}},
	}
	if diff := cmp.Diff(want, c.Origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}

// TestSettingsReadBack checks that Settings lists each key once, and that a file
// with all settings reads as the same configuration.
func TestSettingsReadBack(t *testing.T) {
	var listed []string
	for _, s := range Default().Settings() {
		listed = append(listed, s.Key)
	}
	var known []string
	for _, k := range recoveryKeys {
		known = append(known, k.name)
	}
	if diff := cmp.Diff(known, listed); diff != "" {
		t.Errorf("keys that are read (-) and listed (+):\n%s", diff)
	}
	for name, text := range map[string]string{
		"defaults": "",
		"changed": "[Recovery]\nDataDirectory=/srv/a\nCleanBoot=restore\nCleanBootList=a b\n" +
			"FirstAttemptSec=90\nSecondAttemptSec=1h 1ms\nRetryPauseSec=1.5\nTierDeadlineSec=61\n" +
			"MaxParallel=1\nWaitFor=healthy\nJobs=leave\nRetryAfterReady=no\n" +
			"KeepImages=yes\nKeepImagesMax=1500M\nSoakSec=1us\nLogLevel=debug\n" +
			"[Tiers]\nTier0=x *-db\nTier99=z\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, problems := Load(tree(map[string]string{"etc/archy-recovery.conf": text}), "")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			var again strings.Builder
			section := ""
			for _, s := range c.Settings() {
				if s.Section != section {
					section = s.Section
					again.WriteString("[" + section + "]\n")
				}
				again.WriteString(s.Key + "=" + s.Value + "\n")
			}
			got, problems := Load(tree(map[string]string{"etc/archy-recovery.conf": again.String()}), "")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got.Origins = c.Origins
			if diff := cmp.Diff(c, got); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}
