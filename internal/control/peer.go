package control

import (
	"context"
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// A peer is the process at the other end of a connection.
type peer struct{ pid, uid int }

type peerKey struct{}

// withPeer notes with the connection who made it, as the kernel saw it then
// (SO_PEERCRED, unix(7)).
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	p, err := peerCredentials(conn)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerCredentials(conn net.Conn) (peer, error) {
	sock, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}, errors.New("not a unix socket")
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return peer{}, err
	}
	return peer{int(cred.Pid), int(cred.Uid)}, nil
}

func peerOf(ctx context.Context) (peer, error) {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok {
		return peer{pid: -1, uid: -1}, errors.New("who you are cannot be told")
	}
	return p, nil
}
