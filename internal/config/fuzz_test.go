package config

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"archy-recovery/internal/recover"
)

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "[Recovery]\nDefaultTier=2\n", "[Recovery\n", "=\n", "[", "[]", "Key=value\n",
		"[Recovery]\nFirstAttemptSec=1h 30s\nDeadlineSec=infinity\nMinParallel=0\n",
		"[Tiers]\nTier0=db postgres-*\nTier99=[a-\nTier100=x\nTier-1=x\nTier0=\n",
		"[Recovery]\nCleanBoot=restore\nCleanBootList=a b\nCleanBootList=\nWaitFor=healthy\n",
		"[Recovery]\nDataDirectory=relative\nDataDirectory=/x\nLogLevel=debug\n", "[Recovery]\r\nSoakSec=5\r\n",
		"[Recovery]\nMaxParallel=99999999999999999999\n", "[Tiers]\nTier1=\\\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := Load(fstest.MapFS{"etc/archy-recovery.conf": &fstest.MapFile{Data: []byte(text)}}, "")
		if len(problems) > strings.Count(text, "\n")+1 {
			t.Errorf("%d problems", len(problems))
		}
		for _, p := range problems {
			if !strings.HasPrefix(p.Error(), "/etc/archy-recovery.conf:") {
				t.Errorf("a problem without file and line: %v", p)
			}
		}
		p := c.Policy
		for name, d := range map[string]time.Duration{
			"first": p.FirstAttempt, "pause": p.RetryPause, "second": p.SecondAttempt,
			"tier": p.TierDeadline, "deadline": p.Deadline, "soak": p.Soak, "probation": p.Probation,
		} {
			if d <= 0 || d > 365*24*time.Hour {
				t.Errorf("%s: %s", name, d)
			}
		}
		if p.MinParallel < 1 || p.MaxParallel < 1 || p.DefaultTier < 0 || p.DefaultTier > recover.MaxTier {
			t.Errorf("accepted: %+v", p)
		}
		if c.DataDirectory != "" && !filepath.IsAbs(c.DataDirectory) {
			t.Errorf("accepted: DataDirectory=%s", c.DataDirectory)
		}
		checkPatterns(t, p.CleanBootList)
		for tier, patterns := range p.Tiers {
			if tier < 0 || tier > recover.MaxTier {
				t.Errorf("tier %d", tier)
			}
			checkPatterns(t, patterns)
		}
	})
}

// checkPatterns fails if an accepted pattern is malformed for some name.
func checkPatterns(t *testing.T, patterns recover.Patterns) {
	t.Helper()
	for _, p := range patterns {
		for _, name := range []string{"", "a", "db", "archy-db", strings.Repeat("a", 255)} {
			_, err := path.Match(strings.TrimPrefix(p, "archy-"), strings.TrimPrefix(name, "archy-"))
			if err != nil {
				t.Errorf("pattern %q with name %.9q: %v", p, name, err)
			}
		}
	}
}

func FuzzTimeSpan(f *testing.F) {
	for _, seed := range []string{
		"90", "2min", "1h 30s", "", " ", "infinity", "-1", "0", "0.5s", "0.0001us", "1.2.3", ".", "1e9", "366d",
		"99999999999999999999999d", "1µs", "1 s 2", "1s2", "1\t",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseTimeSpan(text)
		if err != nil {
			if d != 0 {
				t.Errorf("%q: %s and %v", text, d, err)
			}
			return
		}
		if d <= 0 || d > 365*24*time.Hour {
			t.Errorf("%q is %s", text, d)
		}
		// systemd writes whole microseconds.
		if us := d.Microseconds(); us > 0 {
			whole := time.Duration(us) * time.Microsecond
			if again, err := ParseTimeSpan(whole.String()); err != nil || (again-whole).Abs() > time.Microsecond {
				t.Errorf("%q is %s, which reads as %s, %v", text, whole, again, err)
			}
		}
	})
}

func FuzzKernelCommandLine(f *testing.F) {
	for _, seed := range []string{
		"", "quiet archy.recovery=off", "archy.recovery=safe archy.recovery=", "archy.recovery",
		`archy.recovery="off"`, "archy.recovery=OFF", "xarchy.recovery=off", "archy.recovery=off\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		mode, err := KernelMode(line)
		switch mode {
		case recover.ModeNormal:
		case recover.ModeOff, recover.ModeSafe:
			if err != nil || !strings.Contains(line, recover.CommandLineKey+"=") {
				t.Errorf("%q: %s, %v", line, mode, err)
			}
		default:
			t.Errorf("%q: mode %q", line, mode)
		}
		last, err := KernelMode(line + " " + recover.CommandLineKey + "=safe")
		if last != recover.ModeSafe || err != nil {
			t.Errorf("%q and then =safe: mode %q, %v", line, last, err)
		}
	})
}
