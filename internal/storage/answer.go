package storage

import (
	"fmt"

	"archy-recovery/internal/answerfile"
	"archy-recovery/internal/recover"
)

// ReadAnswer reads what a check wrote about a graph root. The file is the instance's own user's: it
// can only hold back that user's containers.
func ReadAnswer(file, graphRoot string) (recover.StorageCheck, error) {
	found, err := answerfile.Read[recover.StorageCheck](file)
	if err == nil && found.GraphRoot != graphRoot {
		err = fmt.Errorf("%s is about %q, and not about %s", file, found.GraphRoot, graphRoot)
	}
	return found, err
}
