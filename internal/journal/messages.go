package journal

// Message IDs of systemd (sd-messages.h).
const (
	idJournalStopped = "d93fb3c9c24d451a97cea615ce59c00b"
	idShutdown       = "98268866d1d54a499c4e98921d93bc40" // logind was asked for one; SHUTDOWN=
	idUnitStarted    = "39f53479d3a045ac8e11786248231fbf"
	idUnitStopped    = "9d1aaa27d60140bd96365438aad20286" // JOB_TYPE=
	idUnitStopping   = "de5b426a63be47a7b6ac3eaac82e2f6f"
	idUnitSucceeded  = "7ad2d189f7e94e70a38c781354912448" // by itself or by a stop job
	idUnitResult     = "d9b373ed55a64feb8242e02dbe79a49c" // it failed; UNIT_RESULT=
	idProcessExit    = "98e322203f7a4ed290d09fe03c09fe15" // EXIT_CODE=, EXIT_STATUS=
	idOutOfMemory    = "fe6faa94e7774663a0da52717891d8ef" // the kernel killed a process of a unit
	idOomdKill       = "d989611b15e44c9dbf31e3c81256e4ed" // systemd-oomd killed a unit
)

// Units of systemd whose start or stop means more than that (systemd.special(7)).
const (
	// multiUser stops when the host goes down. It starts again if the boot goes on:
	// after a soft reboot, or after `systemctl isolate` there and back.
	multiUser = "multi-user.target"
	// basic stops when a shutdown has stopped all services.
	basic = "basic.target"
	// journalFlush stops when journald releases the journal on disk. An operator can
	// restart it too.
	journalFlush = "systemd-journal-flush.service"
	// userDefault is a user's unit. It stops when the user's manager exits.
	userDefault = "default.target"
	// userManager begins the name of the service of each user's manager.
	userManager = "user@"
)
