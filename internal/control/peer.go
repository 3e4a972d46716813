package control

import (
	"context"
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// A peer is the process at the other end of a connection, as the kernel
// reports it.
type peer struct{ pid, uid int }

type peerKey struct{}

// withPeer adds to a connection's context the peer that opened the connection
// (SO_PEERCRED, unix(7)). It is for http.Server.ConnContext.
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

// peerOf returns the peer of a request. Without credentials PID and UID are -1.
func peerOf(ctx context.Context) (peer, error) {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok {
		return peer{pid: -1, uid: -1}, errors.New("the peer's credentials are not known")
	}
	return p, nil
}
