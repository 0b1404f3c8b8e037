// gVisor's TCP behind a pipe (tb/peers/gvisor_peer.py): a host on a simulated wire, in simulated time.
//
// Standard input carries requests, standard output one answer each; both are a 32-bit length and that many bytes, all
// numbers little-endian. A request holds the time and what happens at it, an answer when the next timer is due and what
// came of it: frames sent, connections, bytes received. Nothing here looks at a real clock, there is one thread, and
// random numbers come from a seed: the same requests get the same answers.
package main

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"runtime"
	"time"

	"gvisor.dev/gvisor/pkg/bufferv2"
	secure "gvisor.dev/gvisor/pkg/rand"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	nic         = 1
	queueFrames = 8192
	readChunk   = 1 << 16
	// Octets of the longest packet of the link.
	linkMTU = 1500
	// Yields that let every goroutine woken by an event run, and those that it wakes.
	yields = 12

	opFrame, opWrite, opShut, opMayRead, opConnect, opRelease = 1, 2, 3, 4, 5, 6
	gotFrame, gotOpen, gotData, gotEnd, gotFailure, gotRoom   = 1, 2, 3, 4, 5, 6
	gotCounters                                               = 7
)

// ---- time ----------------------------------------------------------------------------------

// manualClock is a tcpip.Clock that moves only when told; unlike gVisor's own it knows its next timer.
type manualClock struct {
	now    time.Duration
	number uint64
	timers timerHeap
}

type manualTimer struct {
	clock  *manualClock
	when   time.Duration
	number uint64
	index  int // in the heap, -1 outside
	run    func()
}

type timerHeap []*manualTimer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(a, b int) bool {
	return h[a].when < h[b].when || h[a].when == h[b].when && h[a].number < h[b].number
}
func (h timerHeap) Swap(a, b int) {
	h[a], h[b] = h[b], h[a]
	h[a].index, h[b].index = a, b
}
func (h *timerHeap) Push(x any) {
	t := x.(*manualTimer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	*h = (*h)[:last]
	t.index = -1
	return t
}

func (c *manualClock) Now() time.Time {
	return time.Unix(1_000_000_000, 0).Add(c.now)
}

func (c *manualClock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(c.now)
}

func (c *manualClock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	t := &manualTimer{clock: c, index: -1, run: f}
	t.Reset(d)
	return t
}

func (t *manualTimer) Stop() bool {
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.clock.timers, t.index)
	return true
}

func (t *manualTimer) Reset(d time.Duration) {
	t.Stop()
	if d < 0 {
		d = 0
	}
	t.clock.number++
	t.when, t.number = t.clock.now+d, t.clock.number
	heap.Push(&t.clock.timers, t)
}

// advance runs every timer up to a time, each at its own.
func (c *manualClock) advance(to time.Duration) {
	for len(c.timers) > 0 && c.timers[0].when <= to {
		t := heap.Pop(&c.timers).(*manualTimer)
		if t.when > c.now {
			c.now = t.when
		}
		go t.run()
		settle()
	}
	if to > c.now {
		c.now = to
	}
}

func settle() {
	for n := 0; n < yields; n++ {
		runtime.Gosched()
	}
}

// ---- connections ---------------------------------------------------------------------------

type connection struct {
	id        uint32
	endpoint  tcpip.Endpoint
	dirty     bool
	unsent    []byte
	shut      bool // wanted
	shutDone  bool
	mayRead   uint64 // bytes in all that the application takes
	read      uint64
	ended     bool
	failed    bool
	over      bool
	connected bool
}

type host struct {
	clock       *manualClock
	over        ip
	stack       *stack.Stack
	link        *channel.Endpoint
	listener    tcpip.Endpoint
	listenQueue *waiter.Queue
	connections []*connection
	answer      bytes.Buffer
	write       int // bytes that may wait in a connection
}

// ip is the version of IP that the host has an address of; it has no other.
type ip struct {
	network     tcpip.NetworkProtocolNumber
	factories   []stack.NetworkProtocolFactory
	addressSize uint64
	prefix      int
	// mtu is that of a link for segments of an MSS, mss what an endpoint is to announce (0: what the MTU leaves).
	mtu, mss int
}

// versionOf tells the version by the size of an address. An IPv6 link has no MTU below 1280 (RFC 8200 5), and nothing
// is built for the other version: it would draw from the same random numbers.
func versionOf(addressSize, mss int) ip {
	if addressSize == header.IPv4AddressSize {
		factories := []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol}
		mtu := mss + header.IPv4MinimumSize + header.TCPMinimumSize
		return ip{ipv4.ProtocolNumber, factories, header.IPv4AddressSize, 24, mtu, 0}
	}
	mtu := mss + header.IPv6MinimumSize + header.TCPMinimumSize
	if mtu < header.IPv6MinimumMTU {
		mtu = header.IPv6MinimumMTU
	}
	if mtu > linkMTU {
		mtu = linkMTU
	}
	if mss < header.TCPMinimumMSS {
		mss = header.TCPMinimumMSS
	}
	return ip{ipv6.ProtocolNumber, []stack.NetworkProtocolFactory{ipv6.NewProtocol}, header.IPv6AddressSize, 64, mtu, mss}
}

// newEndpoint makes a TCP endpoint of the version of IP, with its MSS.
func (h *host) newEndpoint(queue *waiter.Queue) tcpip.Endpoint {
	endpoint, err := h.stack.NewEndpoint(tcp.ProtocolNumber, h.over.network, queue)
	check(err, "endpoint")
	if h.over.mss != 0 {
		check(endpoint.SetSockOptInt(tcpip.MaxSegOption, h.over.mss), "segment size")
	}
	return endpoint
}

func check(err tcpip.Error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", what, err)
		os.Exit(3)
	}
}

func (h *host) adopt(endpoint tcpip.Endpoint, queue *waiter.Queue) *connection {
	c := &connection{id: uint32(len(h.connections)), endpoint: endpoint, dirty: true}
	entry := waiter.NewFunctionEntry(waiter.EventMask(math.MaxUint16), func(waiter.EventMask) { c.dirty = true })
	queue.EventRegister(&entry)
	h.connections = append(h.connections, c)
	return c
}

func (h *host) accept() {
	for {
		endpoint, queue, err := h.listener.Accept(nil)
		if err != nil {
			return
		}
		h.opened(h.adopt(endpoint, queue))
	}
}

func (h *host) opened(c *connection) {
	remote, err := c.endpoint.GetRemoteAddress()
	check(err, "remote address")
	c.connected = true
	h.item(gotOpen, c.id)
	binary.Write(&h.answer, binary.LittleEndian, uint32(remote.Port))
	h.room(c)
}

func (h *host) connect(address []byte, port, local uint16) {
	queue := &waiter.Queue{}
	endpoint := h.newEndpoint(queue)
	check(endpoint.Bind(tcpip.FullAddress{Port: local}), "bind")
	h.adopt(endpoint, queue)
	err := endpoint.Connect(tcpip.FullAddress{NIC: nic, Addr: tcpip.Address(address), Port: port})
	if _, started := err.(*tcpip.ErrConnectStarted); err != nil && !started {
		check(err, "connect")
	}
}

func (h *host) room(c *connection) {
	h.item(gotRoom, c.id)
	binary.Write(&h.answer, binary.LittleEndian, uint32(h.write-len(c.unsent)))
}

func (h *host) serve() {
	h.accept()
	for _, c := range h.connections {
		if c.dirty && !c.over {
			c.dirty = false
			if !c.connected {
				if tcp.EndpointState(c.endpoint.State()) == tcp.StateEstablished {
					h.opened(c)
				} else {
					h.failure(c, c.endpoint.LastError())
					continue
				}
			}
			h.receive(c)
			h.send(c)
		}
	}
}

func (h *host) failure(c *connection, err tcpip.Error) {
	switch err.(type) {
	case nil, *tcpip.ErrWouldBlock, *tcpip.ErrConnectStarted, *tcpip.ErrNotConnected:
		return
	}
	if !c.failed {
		c.failed, c.over = true, true
		text := err.String()
		h.item(gotFailure, c.id)
		binary.Write(&h.answer, binary.LittleEndian, uint32(len(text)))
		h.answer.WriteString(text)
	}
}

func (h *host) receive(c *connection) {
	for !c.ended && !c.over && c.read < c.mayRead {
		room := c.mayRead - c.read
		if room > readChunk {
			room = readChunk
		}
		var data bytes.Buffer
		_, err := c.endpoint.Read(&tcpip.LimitedWriter{W: &data, N: int64(room)}, tcpip.ReadOptions{})
		if data.Len() > 0 {
			c.read += uint64(data.Len())
			h.item(gotData, c.id)
			binary.Write(&h.answer, binary.LittleEndian, uint32(data.Len()))
			h.answer.Write(data.Bytes())
			continue
		}
		if _, end := err.(*tcpip.ErrClosedForReceive); end {
			c.ended = true
			h.item(gotEnd, c.id)
			return
		}
		h.failure(c, err)
		return
	}
}

func (h *host) send(c *connection) {
	before := len(c.unsent)
	for len(c.unsent) > 0 && !c.over {
		n, err := c.endpoint.Write(bytes.NewReader(c.unsent), tcpip.WriteOptions{})
		c.unsent = c.unsent[n:]
		if err != nil {
			h.failure(c, err)
			break
		}
	}
	if len(c.unsent) != before {
		h.room(c)
	}
	if c.shut && !c.shutDone && len(c.unsent) == 0 && !c.over {
		c.shutDone = true
		h.failure(c, c.endpoint.Shutdown(tcpip.ShutdownWrite))
	}
}

// busy says whether a timer may have something to do: an endpoint is neither waiting for connections nor over.
func (h *host) busy() bool {
	for _, endpoint := range h.stack.RegisteredEndpoints() {
		if known, ok := endpoint.(tcpip.Endpoint); ok {
			switch tcp.EndpointState(known.State()) {
			case tcp.StateListen, tcp.StateTimeWait, tcp.StateClose, tcp.StateError, tcp.StateInitial, tcp.StateBound:
			default:
				return true
			}
		}
	}
	return false
}

// ---- the pipe ------------------------------------------------------------------------------

func (h *host) item(kind byte, id uint32) {
	h.answer.WriteByte(kind)
	binary.Write(&h.answer, binary.LittleEndian, id)
}

// frames moves what the stack sent into the answer.
func (h *host) frames() {
	for {
		packet := h.link.Read()
		if packet.IsNil() {
			return
		}
		size := 0
		slices := packet.AsSlices()
		for _, slice := range slices {
			size += len(slice)
		}
		h.item(gotFrame, uint32(size))
		for _, slice := range slices {
			h.answer.Write(slice)
		}
		packet.DecRef()
	}
}

func (h *host) counters() {
	stats := h.stack.Stats().TCP
	h.item(gotCounters, 0)
	for _, counter := range []*tcpip.StatCounter{stats.Retransmits, stats.Timeouts, stats.FastRecovery, stats.SACKRecovery} {
		binary.Write(&h.answer, binary.LittleEndian, counter.Value())
	}
}

func (h *host) request(body []byte) {
	h.answer.Reset()
	number := func(size int) uint64 {
		if len(body) < size {
			fmt.Fprintln(os.Stderr, "a request ends too early")
			os.Exit(3)
		}
		var padded [8]byte
		copy(padded[:], body[:size])
		body = body[size:]
		return binary.LittleEndian.Uint64(padded[:])
	}
	take := func(size uint64) []byte {
		if uint64(len(body)) < size {
			fmt.Fprintln(os.Stderr, "a request ends too early")
			os.Exit(3)
		}
		part := body[:size:size]
		body = body[size:]
		return part
	}
	h.clock.advance(time.Duration(number(8)))
	for len(body) > 0 {
		switch kind := number(1); kind {
		case opFrame:
			data := append([]byte(nil), take(number(4))...)
			packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: bufferv2.MakeWithData(data)})
			h.link.InjectInbound(0, packet)
			packet.DecRef()
			settle()
		case opWrite:
			c := h.connections[number(4)]
			c.unsent = append(c.unsent, take(number(4))...)
			c.dirty = true
		case opShut:
			c := h.connections[number(4)]
			c.shut, c.dirty = true, true
		case opMayRead:
			c := h.connections[number(4)]
			c.mayRead, c.dirty = number(8), true
		case opConnect:
			address := append([]byte(nil), take(h.over.addressSize)...)
			h.connect(address, uint16(number(2)), uint16(number(2)))
		case opRelease:
			c := h.connections[number(4)]
			c.over = true
			c.endpoint.Close()
		default:
			fmt.Fprintf(os.Stderr, "no such request: %d\n", kind)
			os.Exit(3)
		}
	}
	h.serve()
	settle()
	h.serve()
	settle()
	h.frames()
	h.counters()
}

func main() {
	runtime.GOMAXPROCS(1)
	mac := flag.String("mac", "", "own MAC, hexadecimal")
	ownIP := flag.String("ip", "", "own IPv4 or IPv6 address, hexadecimal")
	otherMac := flag.String("other-mac", "", "MAC at the other end")
	otherIP := flag.String("other-ip", "", "address of the same version at the other end")
	port := flag.Uint("port", 0, "port to listen on, 0 = none")
	mss := flag.Uint("mss", 1460, "segment size to announce")
	seed := flag.Int64("seed", 1, "of all random numbers")
	buffer := flag.Int("buffer", 256<<10, "bytes of send and receive buffers")
	sack := flag.Bool("sack", true, "SACK")
	rack := flag.Bool("rack", false, "RACK and tail loss probes")
	congestion := flag.String("congestion", "reno", "reno or cubic")
	minRTO := flag.Duration("min-rto", 200*time.Millisecond, "least retransmission timeout")
	flag.Parse()
	address := func(text string) []byte {
		bytes, err := hex.DecodeString(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return bytes
	}
	secure.Reader = rand.New(rand.NewSource(*seed)) // IP identifications, too
	h := &host{clock: &manualClock{}, over: versionOf(len(address(*ownIP)), int(*mss)), write: *buffer}
	h.stack = stack.New(stack.Options{
		NetworkProtocols:   h.over.factories,
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
		Clock:              h.clock,
		RandSource:         rand.NewSource(*seed),
	})
	option := func(value tcpip.SettableTransportProtocolOption) {
		check(h.stack.SetTransportProtocolOption(tcp.ProtocolNumber, value), "option")
	}
	enabled := tcpip.TCPSACKEnabled(*sack)
	option(&enabled)
	recovery := tcpip.TCPRecovery(0)
	if *rack {
		recovery = tcpip.TCPRACKLossDetection
	}
	option(&recovery)
	control := tcpip.CongestionControlOption(*congestion)
	option(&control)
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	option(&moderate)
	least := tcpip.TCPMinRTOOption(*minRTO)
	option(&least)
	option(&tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: *buffer, Max: 4 * *buffer})
	option(&tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: *buffer, Max: 4 * *buffer})
	// The Ethernet layer takes its header off the size of a link's frames.
	size := h.over.mtu + header.EthernetMinimumSize
	h.link = channel.New(queueFrames, uint32(size), tcpip.LinkAddress(address(*mac)))
	check(h.stack.CreateNIC(nic, ethernet.New(h.link)), "interface")
	own := tcpip.AddressWithPrefix{Address: tcpip.Address(address(*ownIP)), PrefixLen: h.over.prefix}
	protocol := tcpip.ProtocolAddress{Protocol: h.over.network, AddressWithPrefix: own}
	check(h.stack.AddProtocolAddress(nic, protocol, stack.AddressProperties{}), "address")
	h.stack.SetRouteTable([]tcpip.Route{{Destination: own.Subnet(), NIC: nic}})
	neighbor := tcpip.LinkAddress(address(*otherMac))
	check(h.stack.AddStaticNeighbor(nic, h.over.network, tcpip.Address(address(*otherIP)), neighbor), "neighbor")
	h.listenQueue = &waiter.Queue{}
	h.listener = h.newEndpoint(h.listenQueue)
	if *port != 0 {
		check(h.listener.Bind(tcpip.FullAddress{Port: uint16(*port)}), "bind")
		check(h.listener.Listen(1024), "listen")
	}
	settle()
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		var length uint32
		if binary.Read(in, binary.LittleEndian, &length) != nil {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		h.request(body)
		next := uint64(math.MaxUint64)
		if len(h.clock.timers) > 0 && h.busy() {
			next = uint64(h.clock.timers[0].when)
		}
		binary.Write(out, binary.LittleEndian, uint32(h.answer.Len()+8))
		binary.Write(out, binary.LittleEndian, next)
		out.Write(h.answer.Bytes())
		if out.Flush() != nil {
			return
		}
	}
}
