package storage

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"archy-recovery/internal/recover"

	"github.com/google/renameio/v2"
)

// maxAnswer bounds the file with an answer, in bytes.
const maxAnswer = 16 << 20

// WriteAnswer replaces the file with what a check found. It lies below /run: nothing is left
// of it after a crash.
func WriteAnswer(file string, answer recover.StorageCheck) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return renameio.WriteFile(file, text, 0o600)
}

// ReadAnswer reads what WriteAnswer wrote about a graph root. The file is the instance's
// own user's: it can only hold back that user's containers.
func ReadAnswer(file, graphRoot string) (recover.StorageCheck, error) {
	var answer recover.StorageCheck
	f, err := os.Open(file)
	if err != nil {
		return answer, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxAnswer)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("%s: %w", file, err)
	}
	if answer.GraphRoot != graphRoot {
		return answer, fmt.Errorf("%s is about %q, and not about %s", file, answer.GraphRoot, graphRoot)
	}
	return answer, nil
}
