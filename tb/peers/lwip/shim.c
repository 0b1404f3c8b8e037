/* lwIP behind a handful of plain functions, for ctypes (tb/peers/lwip_peer.py).
 *
 * One network interface, one listening port range, no threads: the raw API of lwIP 2.1 (doc/rawapi.txt). A frame goes in
 * by chimney_input, time by chimney_tmr (tcp_tmr, every 250 ms), frames come out by chimney_output. What happens on a
 * connection marks it; chimney_marked gives the marked ones, and Python reads, writes and closes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "netif/ethernet.h"

#define MAX_CONNECTIONS 1024
#define MAX_FRAME 1600

struct connection {
  struct tcp_pcb *pcb; /* NULL when lwIP owns it alone, or it is gone */
  struct pbuf *unread;
  uint16_t remote_port;
  int marked, ended, error;
};

struct frame {
  struct frame *next;
  int length;
  uint8_t bytes[MAX_FRAME];
};

static struct connection connections[MAX_CONNECTIONS];
static int connection_count, started;
static struct frame *first_frame, *last_frame;
static struct netif interface;
static struct tcp_pcb *listener;
static uint64_t oversized;

static err_t output(struct netif *netif, struct pbuf *p)
{
  struct frame *frame;
  (void)netif;
  if (p->tot_len > MAX_FRAME) {
    oversized++;
    return ERR_BUF;
  }
  frame = malloc(sizeof *frame);
  if (frame == NULL)
    return ERR_MEM;
  frame->next = NULL;
  frame->length = pbuf_copy_partial(p, frame->bytes, p->tot_len, 0);
  if (last_frame != NULL)
    last_frame->next = frame;
  else
    first_frame = frame;
  last_frame = frame;
  return ERR_OK;
}

static err_t bring_up(struct netif *netif)
{
  netif->name[0] = 'c';
  netif->name[1] = 'h';
  netif->linkoutput = output;
  netif->output = etharp_output;
  netif->output_ip6 = ethip6_output;
  netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
  netif->hwaddr_len = 6;
  return ERR_OK;
}

static void forget(struct connection *connection)
{
  if (connection->pcb != NULL) {
    tcp_arg(connection->pcb, NULL);
    tcp_recv(connection->pcb, NULL);
    tcp_sent(connection->pcb, NULL);
    tcp_err(connection->pcb, NULL);
    connection->pcb = NULL;
  }
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
  struct connection *connection = arg;
  (void)pcb, (void)err;
  connection->marked = 1;
  if (p == NULL)
    connection->ended = 1;
  else if (connection->unread == NULL)
    connection->unread = p;
  else
    pbuf_cat(connection->unread, p);
  return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t length)
{
  (void)pcb, (void)length;
  ((struct connection *)arg)->marked = 1;
  return ERR_OK;
}

static void on_error(void *arg, err_t err)
{
  struct connection *connection = arg;
  connection->marked = 1;
  connection->error = err;
  connection->pcb = NULL;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
  struct connection *connection;
  (void)arg;
  if (err != ERR_OK || pcb == NULL || connection_count == MAX_CONNECTIONS)
    return ERR_MEM;
  connection = &connections[connection_count++];
  memset(connection, 0, sizeof *connection);
  connection->pcb = pcb;
  connection->remote_port = pcb->remote_port;
  connection->marked = 1;
  tcp_arg(pcb, connection);
  tcp_recv(pcb, on_recv);
  tcp_sent(pcb, on_sent);
  tcp_err(pcb, on_error);
  return ERR_OK;
}

/* The interface's only address: 4 bytes of IPv4 or 16 of IPv6, valid at once (nobody else is on the link). */
static err_t address_interface(const uint8_t *ip, int ip_length)
{
  ip4_addr_t address, mask, gateway;
  ip6_addr_t address6;
  ip4_addr_set_zero(&gateway);
  if (ip_length == 4) {
    IP4_ADDR(&address, ip[0], ip[1], ip[2], ip[3]);
    IP4_ADDR(&mask, 255, 255, 255, 0);
  } else {
    ip4_addr_set_zero(&address);
    ip4_addr_set_zero(&mask);
  }
  if (netif_add(&interface, &address, &mask, &gateway, NULL, bring_up, ethernet_input) == NULL)
    return ERR_IF;
  if (ip_length == 4)
    return ERR_OK;
  memset(&address6, 0, sizeof address6);
  memcpy(address6.addr, ip, sizeof address6.addr);
  netif_ip6_addr_set(&interface, 0, &address6);
  netif_ip6_addr_set_state(&interface, 0, IP6_ADDR_PREFERRED);
  return ERR_OK;
}

/* Begin afresh: every connection of an earlier peer of this process is dropped. Returns 0, or an error of lwIP. */
int chimney_start(const uint8_t *mac, const uint8_t *ip, int ip_length, uint16_t port, uint16_t mtu)
{
  struct tcp_pcb *pcb;
  uint8_t discarded[MAX_FRAME];
  extern int chimney_output(uint8_t *, int);
  int n;
  if (!started)
    lwip_init();
  for (n = 0; n < connection_count; n++) {
    forget(&connections[n]);
    if (connections[n].unread != NULL)
      pbuf_free(connections[n].unread);
  }
  connection_count = 0;
  if (started) {
    tcp_close(listener);
    while (tcp_active_pcbs != NULL)
      tcp_abort(tcp_active_pcbs);
    while (tcp_tw_pcbs != NULL)
      tcp_abort(tcp_tw_pcbs);
    netif_remove(&interface);
  }
  while (chimney_output(discarded, MAX_FRAME) > 0)
    ;
  started = 1;
  if (address_interface(ip, ip_length) != ERR_OK)
    return ERR_IF;
  memcpy(interface.hwaddr, mac, 6);
  interface.mtu = mtu;
  interface.mtu6 = mtu;
  netif_set_default(&interface);
  netif_set_up(&interface);
  pcb = tcp_new();
  if (pcb == NULL)
    return ERR_MEM;
  n = tcp_bind(pcb, IP_ANY_TYPE, port);
  if (n != ERR_OK)
    return n;
  listener = tcp_listen_with_backlog(pcb, 255);
  if (listener == NULL)
    return ERR_MEM;
  tcp_accept(listener, on_accept);
  return ERR_OK;
}

int chimney_input(const uint8_t *frame, int length)
{
  /* not PBUF_POOL: in Debian's 2.1.3 a buffer of the pool is shorter than the frame that pbuf_alloc lets it hold */
  struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_RAM);
  if (p == NULL)
    return ERR_MEM;
  pbuf_take(p, frame, (u16_t)length);
  if (interface.input(p, &interface) != ERR_OK)
    pbuf_free(p);
  return ERR_OK;
}

void chimney_tmr(void)
{
  tcp_tmr();
}

/* The next frame that was sent, or 0. */
int chimney_output(uint8_t *bytes, int room)
{
  struct frame *frame = first_frame;
  int length;
  if (frame == NULL)
    return 0;
  first_frame = frame->next;
  if (first_frame == NULL)
    last_frame = NULL;
  length = frame->length < room ? frame->length : room;
  memcpy(bytes, frame->bytes, (size_t)length);
  free(frame);
  return length;
}

/* Whether a timer may have something to do. */
int chimney_busy(void)
{
  return tcp_active_pcbs != NULL;
}

int chimney_count(void)
{
  return connection_count;
}

int chimney_remote_port(int n)
{
  return connections[n].remote_port;
}

int chimney_take_mark(int n)
{
  int marked = connections[n].marked;
  connections[n].marked = 0;
  return marked;
}

/* Up to room bytes of the stream; lwIP's window opens by as much. */
int chimney_read(int n, uint8_t *bytes, int room)
{
  struct connection *connection = &connections[n];
  int length;
  if (connection->unread == NULL || room <= 0)
    return 0;
  if (room > 0xFFFF)
    room = 0xFFFF;
  length = pbuf_copy_partial(connection->unread, bytes, (u16_t)room, 0);
  connection->unread = pbuf_free_header(connection->unread, (u16_t)length);
  if (connection->pcb != NULL)
    tcp_recved(connection->pcb, (u16_t)length);
  return length;
}

/* 1 when the stream has ended and everything of it was read. */
int chimney_ended(int n)
{
  return connections[n].ended && connections[n].unread == NULL;
}

int chimney_error(int n)
{
  return connections[n].error;
}

int chimney_room(int n)
{
  return connections[n].pcb == NULL ? 0 : tcp_sndbuf(connections[n].pcb);
}

/* Bytes taken: all, or none when lwIP has no room for as many. */
int chimney_write(int n, const uint8_t *bytes, int length)
{
  if (connections[n].pcb == NULL || tcp_write(connections[n].pcb, bytes, (u16_t)length, TCP_WRITE_FLAG_COPY) != ERR_OK)
    return 0;
  return length;
}

void chimney_flush(int n)
{
  if (connections[n].pcb != NULL)
    tcp_output(connections[n].pcb);
}

/* Close the own direction; 0 when lwIP could not queue the FIN yet. */
int chimney_shut(int n)
{
  struct connection *connection = &connections[n];
  if (connection->pcb == NULL)
    return 1;
  return tcp_shutdown(connection->pcb, 0, 1) == ERR_OK;
}

/* Both directions are closed: lwIP takes the connection to its end alone. */
void chimney_forget(int n)
{
  forget(&connections[n]);
}

uint64_t chimney_oversized(void)
{
  return oversized;
}
