package recover

// Message IDs of what recovery logs (sd-journal's MESSAGE_ID=, made with
// systemd-id128 new): stable, so that `journalctl MESSAGE_ID=…` finds an event
// across versions and languages.
const (
	MsgVerdict        = "fc912a50e93e4999901e1d55b45c3b5b"
	MsgPlan           = "e3660f4b2e89481b89dd03ca38d08f0d"
	MsgTier           = "2295f3cd80e343cbb61090d796322453"
	MsgStarting       = "43f7d80f878a4c32b2dae859659ac8cf"
	MsgUp             = "9ff721f5ca3145cd8f493669be4fa5b0"
	MsgHealth         = "50f4cab736c4416eac7a1e859dafe2c7"
	MsgAttemptFailed  = "272798475b054d46b3a00944c4f5391a"
	MsgGaveUp         = "4af07445d9e14bcaa134418f233edf51"
	MsgFell           = "90c0a13b8b0d4d1980db3d0a5c1305a4"
	MsgRestarting     = "7195f9a682dd436a891bea0a4250e90c"
	MsgDone           = "849564b3eedd439aaf8cf1f994292a5c"
	MsgLeftAlone      = "dcb8a0b59dee459e9ffd22c7149eb5ba"
	MsgComplete       = "cb5385ad635e433193f9d7a9fb195954"
	MsgStateDamaged   = "b442b2b7f88549f38737826756265227"
	MsgSnapshotSaved  = "529c1393ab3344ca8ffc5eb486ba7b16"
	MsgSetDiffered    = "2fb88af08a214e13a685ffd72f3f3196"
	MsgStopping       = "53e2e83b18cf4ccaabfdcf52bb45f5a3"
	MsgUserStoppedSet = "e6c682ca1730437fae8842f0afd48725"
	MsgReplayed       = "d24be95e46094c73bddc065109bce344"
	MsgWaiting        = "ad590523888947aa9c0a840ac5383d65"
	MsgProbation      = "9989e770b5534e998d8857a82ae209bd"
	MsgSuspect        = "fb4e3cde19cc4a9ca7afe4bcb1c16a38"
	MsgQuarantined    = "91fdb762afaa49b192e14965ec2900d0"
	MsgReleased       = "283c0d90b38f49c2917da35c31934f92"
	MsgMode           = "13b05b78b1984e2bb1c59322c9e545eb"
	MsgOthers         = "f3827d8dae064626a09ff9b7893f4edc"
	MsgLeftDown       = "1d8df6c376944d1397ff385796677c64"
	MsgRefused        = "5d14cf65a93e4de9bd6fe78a3778941b"
	MsgConfiguration  = "d41a2a2a1f7a4cb49985b516213b9095"
	MsgImpaired       = "dec5192c80be4bd48a3a8a135f0e18bb"
)
