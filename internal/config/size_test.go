package config

import "testing"

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "1023": 1023, "1K": 1 << 10, "1536M": 1536 << 20, "20G": 20 << 30, "2T": 2 << 40,
	} {
		if got, err := ParseSize(text); err != nil || got != want || FormatSize(want) != text {
			t.Errorf("%s: %d, written as %s, %v", text, got, FormatSize(want), err)
		}
	}
	for _, text := range []string{"", "0", "-1", "+1", "G", "1g", "1.5G", "1 G", "20GB", "1KK",
		"9999999999T", "99999999999999999999"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
