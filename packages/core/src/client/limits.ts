//! How much a client keeps and how long it waits, each with its reason.

/** Bytes of adds without an outcome; above it an add gets `Backpressure`. Bounds what a client keeps while no leader is in reach. */
export const ADD_QUEUE_BYTES_MAX = 64 * 1024 * 1024
/** What an item costs beside its payload: so that tiny payloads cannot fill memory either. */
export const ADD_ITEM_OVERHEAD_BYTES = 64
/** A command is closed at this size, so that one frame neither stalls a link nor a flush. A single larger payload goes alone. */
export const COMMAND_BYTES_MAX = 512 * 1024
/** Also bounds the names of a batch, of which a command can list as many. */
export const ADD_BATCH_ITEMS_MAX = 1024
/** Items without a key go to one partition in runs of this length: few large commands instead of many small ones. */
export const ROUND_ROBIN_RUN = 256
export const LEASED_BATCH_MAX = 4096
/** DESIGN 6 "Sessions": a client never runs further ahead of its lowest unanswered sequence. */
export const SESSION_WINDOW = 1024
/** Leases that a `resume` can list. */
export const RESUME_LEASES_MAX = 65_535
/** Leases given up before their shard said so: remembered so that a repeated delivery is handed back instead of run twice. */
export const GIVEN_UP_MAX = 65_535
/** Node addresses that are remembered as ways into the cluster. */
export const ADDRESSES_MAX = 4096
/** Open connections; beyond them commands are relayed. */
export const LINKS_MAX = 256
export const WORKERS_MAX = 1024
export const TOPICS_MAX = 65_536
export const QUERIES_MAX = 4096
export const ACQUIRES_MAX = 1024
/** Demands sent and not answered, per partition: a worker whose concurrency is changed faster waits. */
export const DEMANDS_UNANSWERED_MAX = 16

export const BACKOFF_MS_MIN = 10
export const BACKOFF_MS_MAX = 1000
/** How long a shard's commands wait for a direct connection to its leader before they are relayed. */
export const DIRECT_PATIENCE_MS = 300
/** While no node answers, one more address is tried this often: most of a range are silent. */
export const HOME_PATIENCE_MS = 50
/** So long after a redirect the same redirect says nothing new: it answers what was sent before, or comes from a relay that has yet to hear of the leader. */
export const REDIRECT_ECHO_MS = 100
/** And so long where it comes from the very node that it names: that has passed on what it was sent to a leader which hands over to it. */
export const HANDOVER_ECHO_MS = 5
export const OPEN_TIMEOUT_MS = 3000
/** After a failed direct connection the next try comes this many times later than the plain backoff: relaying works meanwhile. */
export const DIRECT_RETRY_FACTOR = 10
/** A link on which an answer is due is probed after this, and closed after the second. */
export const SILENCE_PROBE_MS = 700
export const SILENCE_CLOSE_MS = 2500
/** A command without an answer: ask who leads after this, then repeat it under the same sequence after the second (doubled each time). */
export const ANSWER_DOUBT_MS = 1000
export const ANSWER_REPEAT_MS = 2500
export const ANSWER_REPEAT_MS_MAX = 20_000
/** Topics that do not exist yet are asked for again at least this often. */
export const LOOKUP_REPEAT_MS = 2000
/** DESIGN 5 "Time": at least one stamp a second while leases are held. */
export const BEAT_MS = 500
/** A standing demand is said again this often: it is soft state of a leader, and a relay hides that the leader has changed. */
export const DEMAND_REFRESH_MS = 1000
/** A leader that counts more leases than were delivered for this long is asked to deliver again. */
export const DELIVERY_DOUBT_MS = 3000
/** Grants move between partitions at most this often. */
export const REBALANCE_MS = 100
/** How long an acquire waits for the answer that lowers its grant. */
export const PULL_CLOSE_MS = 1000
