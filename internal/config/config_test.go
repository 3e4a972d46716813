package config

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

func tree(files map[string]string) fstest.MapFS {
	t := fstest.MapFS{}
	for name, text := range files {
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			t[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
			continue
		}
		t[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return t
}

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		files    map[string]string
		instance string
		want     func(*Config)
		problems []string
	}{
		"no file": {want: func(*Config) {}},
		"main files in two directories": {
			files: map[string]string{
				"etc/archy-recovery.conf":     "[Recovery]\nMaxParallel=5\n",
				"usr/lib/archy-recovery.conf": "[Recovery]\nMaxParallel=6\nDefaultTier=7\n",
			},
			want: func(c *Config) { c.Policy.MaxParallel = 5 },
		},
		"drop-ins in two directories": {
			files: map[string]string{
				"etc/archy-recovery.conf.d/10-a.conf":     "[Recovery]\nMaxParallel=10\n",
				"usr/lib/archy-recovery.conf.d/20-b.conf": "[Recovery]\nMaxParallel=20\n",
			},
			want: func(c *Config) { c.Policy.MaxParallel = 20 },
		},
		"drop-ins of the same name in two directories": {
			files: map[string]string{
				"etc/archy-recovery.conf.d/10-a.conf":     "[Recovery]\nDefaultTier=1\n",
				"usr/lib/archy-recovery.conf.d/10-a.conf": "[Recovery]\nMaxParallel=20\n",
			},
			want: func(c *Config) { c.Policy.DefaultTier = 1 },
		},
		"drop-in masked by a link to /dev/null": {
			files: map[string]string{
				"etc/archy-recovery.conf.d/10-a.conf":     "-> /dev/null",
				"usr/lib/archy-recovery.conf.d/10-a.conf": "[Recovery]\nMaxParallel=20\n",
			},
			want: func(*Config) {},
		},
		"files of the instance": {
			instance: "1000",
			files: map[string]string{
				"etc/archy-recovery.conf.d/90-z.conf":          "[Recovery]\nDataDirectory=/srv/a\n",
				"etc/archy-recovery@1000.conf":                 "[Recovery]\nDataDirectory=/srv/b\n",
				"etc/archy-recovery@1000.conf.d/10-archy.conf": "[Recovery]\nCleanBoot=restore\n",
				"etc/archy-recovery@1001.conf":                 "[Recovery]\nDataDirectory=/srv/c\n",
			},
			want: func(c *Config) {
				c.DataDirectory = "/srv/b"
				c.Policy.CleanBoot = recover.CleanBootRestore
			},
		},
		"lists, and an empty assignment": {
			files: map[string]string{"etc/archy-recovery.conf": `
[Recovery]
CleanBootList=gone
CleanBootList=
CleanBootList=a b
CleanBootList=c
[Tiers]
Tier0 = *-db redis
; a comment
Tier0=x
Tier4=web
`},
			want: func(c *Config) {
				c.Policy.CleanBootList = recover.Patterns{"a", "b", "c"}
				c.Policy.Tiers[0] = recover.Patterns{"*-db", "redis", "x"}
				c.Policy.Tiers[4] = recover.Patterns{"web"}
			},
		},
		"time spans": {
			files: map[string]string{"etc/archy-recovery.conf": "[Recovery]\n" +
				"FirstAttemptSec=90\nSecondAttemptSec=2min 30s\nRetryPauseSec=500ms\n" +
				"TierDeadlineSec=1.5min\nDeadlineSec=1h\n"},
			want: func(c *Config) {
				c.Policy.FirstAttempt = 90 * time.Second
				c.Policy.SecondAttempt = 150 * time.Second
				c.Policy.RetryPause = 500 * time.Millisecond
				c.Policy.TierDeadline = 90 * time.Second
				c.Policy.Deadline = time.Hour
			},
		},
		"WaitFor=, soak, probation and parallel starts": {
			files: map[string]string{"etc/archy-recovery.conf": "[Recovery]\n" +
				"WaitFor=healthy\nSoakSec=1min\nProbationSec=5\nMinParallel=2\nMaxParallel=\n"},
			want: func(c *Config) {
				c.Policy.WaitFor = recover.WaitForHealthy
				c.Policy.Soak = time.Minute
				c.Policy.Probation = 5 * time.Second
				c.Policy.MinParallel = 2
			},
		},
		"Jobs=": {
			files: map[string]string{"etc/archy-recovery.conf": "[Recovery]\nJobs=leave\n"},
			want:  func(c *Config) { c.Policy.Jobs = recover.JobsLeave },
		},
		"RetryAfterReady=": {
			files: map[string]string{"etc/archy-recovery.conf": "[Recovery]\nRetryAfterReady=off\n"},
			want:  func(c *Config) { c.Policy.RetryAfterReady = false },
		},
		"RetryAfterReady= with a mistake": {
			files:    map[string]string{"etc/archy-recovery.conf": "[Recovery]\nRetryAfterReady=never\n"},
			want:     func(*Config) {},
			problems: []string{`/etc/archy-recovery.conf:2: RetryAfterReady=: "never" is neither yes nor no; ignored`},
		},
		"Jobs= with a mistake": {
			files:    map[string]string{"etc/archy-recovery.conf": "[Recovery]\nJobs=leave\nJobs=\nJobs=never\n"},
			want:     func(*Config) {},
			problems: []string{`/etc/archy-recovery.conf:4: Jobs=: "never" is neither restart nor leave; ignored`},
		},
		"mistakes and a correct line": {
			files: map[string]string{"etc/archy-recovery.conf": `[Recovery]
MaxParallel=none
Colour=red
CleanBoot=maybe
DataDirectory=here
FirstAttemptSec=infinity
RetryPauseSec=-1
just words
DefaultTier=2
WaitFor=luck
[Tiers]
Tier100=a
Row1=b
Tier1=[
[Other]
a=b
`},
			want: func(c *Config) { c.Policy.DefaultTier = 2 },
			problems: []string{
				"conf:2: MaxParallel", "conf:3: unknown key Colour", "conf:4: CleanBoot", "conf:5: DataDirectory",
				"conf:6: FirstAttemptSec", "conf:7: RetryPauseSec", "conf:8:", "conf:10: WaitFor",
				"conf:12: Tier100", "conf:13: unknown key Row1", "conf:14: Tier1", "conf:15: unknown section [Other]",
			},
		},
		"assignment before any section": {
			files:    map[string]string{"etc/archy-recovery.conf": "MaxParallel=3\n"},
			want:     func(*Config) {},
			problems: []string{"conf:1: MaxParallel"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := Default()
			c.want(&want)
			got, problems := Load(tree(c.files), c.instance)
			got.Origins = want.Origins // TestOrigins checks these
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if len(problems) != len(c.problems) {
				t.Fatalf("problems %q, want %q", problems, c.problems)
			}
			for i, p := range problems {
				if !strings.Contains(p.Error(), "/etc/archy-recovery.") || !strings.Contains(p.Error(), c.problems[i]) {
					t.Errorf("problem %q does not say %q", p, c.problems[i])
				}
			}
		})
	}
}

// TestShippedFiles loads the shipped files. They must have no mistake and set the
// tiers and the clean-boot list of the design.
func TestShippedFiles(t *testing.T) {
	shipped := map[string]string{}
	for from, to := range map[string]string{
		"archy-recovery.conf":                 "etc/archy-recovery.conf",
		"archy-recovery.conf.d/10-archy.conf": "usr/lib/archy-recovery.conf.d/10-archy.conf",
	} {
		text, err := os.ReadFile("../../packaging/systemd/" + from)
		if err != nil {
			t.Fatal(err)
		}
		shipped[to] = string(text)
		if from == "archy-recovery.conf" { // its commented-out keys must be correct too
			if _, problems := Load(tree(map[string]string{to: uncomment(string(text))}), ""); len(problems) > 0 {
				t.Errorf("problems in the commented-out keys: %q", problems)
			}
		}
	}
	c, problems := Load(tree(shipped), "")
	if len(problems) > 0 {
		t.Fatalf("problems: %q", problems)
	}
	for name, tier := range map[string]int{
		"btcpay-db": 0, "immich_redis": 0, "bitcoin-knots": 1, "archy-bitcoin-knots": 1, "lnd": 2,
		"mempool-api": 2, "filebrowser": 3, "mempool-web": 4, "indeedhub": 4, "archy-lnd-ui": 4,
	} {
		if got := c.Policy.TierOf(recover.Container{Name: name}); got != tier {
			t.Errorf("%s is in tier %d, want %d", name, got, tier)
		}
	}
	list := c.Policy.CleanBootList
	if !list.Match("filebrowser") || !list.Match("nostr-rs-relay") || list.Match("lnd") {
		t.Errorf("clean-boot list is %q", list)
	}
}

// uncomment returns the sections of a file, and the assignments in its comments, such as #Key=value.
func uncomment(text string) string {
	var keys []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") {
			keys = append(keys, line)
		}
		if key, ok := strings.CutPrefix(line, "#"); ok && strings.Contains(key, "=") && !strings.HasPrefix(key, " ") {
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, "")
}
