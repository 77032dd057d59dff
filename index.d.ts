// The public types of holdfast. Written by scripts/build-js.mjs from js/. Not to be edited.
/// <reference lib="esnext.disposable" />

/** Counts since the start of the process, or since `resetStats()`. */
interface CacheCounts {
    /** Reads that found a value, in whatever layer. */
    hits: number;
    misses: number;
    /** Writes that were kept, loaded values among them. */
    sets: number;
    /** Deletes that removed something. */
    deletes: number;
    /** Calls that failed, and writes that neither Redis nor memory took. */
    errors: number;
    /** Hits of all reads; 0 when there were none. */
    hitRate: number;
    /** Hits by who answered: texts at hand, copies in this process, Redis, and memory where there is no Redis. */
    layers: {
        hot: number;
        near: number;
        redis: number;
        memory: number;
    };
    /** Old values that served. */
    stale: number;
    /** Loaders that ran, and those of them that failed. */
    loads: number;
    loadErrors: number;
    /** Callers who shared a load of this process. */
    coalesced: number;
    /** Loaded values that were not kept, because a delete, a write or an invalidation came first. */
    fenced: number;
    /** Writes that were not kept, and calls that were refused with `E_OVERLOADED`. */
    refused: number;
    /** Values that were dropped from this process' memory for room. */
    evicted: number;
    /** Values in this process' memory, and their bytes. */
    entries: number;
    bytes: number;
    /** Loads that were not needed, and what they would have taken. */
    savings: {
        loadsAvoided: number;
        timeSavedMs: number;
    };
}
/** What `getStats` answers. */
interface CacheStats extends CacheCounts {
    /** Who serves: Redis, memory for good, or both (Redis with memory behind it). */
    backend: 'redis' | 'memory' | 'hybrid';
    /**
     * The counts of each namespace, by its name: `{prefix}:{namespace}`, or `{prefix}:{outer}:{inner}`. In a prefix or name
     * a colon is written `%3A`, and a percent sign `%25`.
     */
    namespaces: Record<string, CacheCounts>;
    /** Only of a namespace beyond the first 10,000: it counts in the whole cache alone, and all counts here are 0. */
    uncounted?: true;
}

/** An argument of a raw command. Numbers are sent as their decimal text. */
type CommandArgument = string | number | Uint8Array;
/** A command of a pipeline. */
interface PipelineCommand {
    command: string;
    args?: readonly CommandArgument[] | undefined;
}

/** How the connection is. */
interface RedisConnectionState {
    isConnected: boolean;
    isConnecting: boolean;
    /** Why the last attempt failed; absent once one succeeded. */
    lastError?: Error;
    /** Attempts since the last success. */
    connectionAttempts: number;
    lastConnectedAt?: Date;
    lastReconnectAt?: Date;
}
/** How the server is. */
interface RedisHealth {
    /** `degraded`: it answers, and takes 100 ms or longer. `unhealthy`: it does not answer. */
    status: 'healthy' | 'degraded' | 'unhealthy';
    details: {
        connected: boolean;
        /** How long a PING took, ms. */
        latency?: number;
        /** Memory used, as the server writes it: `1.20M`. */
        memory?: string;
        version?: string;
        /** Seconds. */
        uptime?: number;
        /** Keys by database, as the server writes them: `{ db0: 'keys=12,expires=3,avg_ttl=0' }`. */
        keyspace?: Record<string, string>;
    };
}
/** Raw commands, as Redis has them. Keys get the key prefix, in front and not twice. */
interface RawClient {
    /**
     * Sends one command and answers what Redis answers: text, number, null, array or object; bytes that
     * are no text as Uint8Array. Rejects with `E_INVALID` for a wrong argument, `E_UNAVAILABLE` while Redis
     * doesn't answer, `E_TIMEOUT`, and `E_DATA` or `E_UNSUPPORTED` for what the server refuses; `applied` tells
     * whether it may have happened. Memory stands in only with `fallback.rawChanges: 'merge'`, for what merges and
     * for reads of what was changed so. With memory for good (`memory:`) the embedded store answers the commands
     * that it knows.
     */
    call<T = unknown>(command: string, ...args: CommandArgument[]): Promise<T>;
}
/** The Redis client. Nothing connects before the first question. */
declare class RedisClient {
    private readonly connection;
    private readonly raw;
    private lastError;
    /** Raw commands. Never null: while Redis is away its calls reject with `E_UNAVAILABLE`. Starts the dial. */
    getClient(): RawClient;
    /** Whether Redis answers now. False until the first attempt succeeded, which this starts; false when closed. */
    isAvailable(): boolean;
    /** A copy of how the connection is. Starts the dial. */
    getConnectionState(): RedisConnectionState;
    /** Drops the connection and dials anew. Resolves when that has succeeded or failed; see `getConnectionState()`. */
    reconnect(): Promise<void>;
    /**
     * Sends one command. null when Redis is not available or refuses it; why is `lastError` of
     * `getConnectionState()`. Rejects only with `E_INVALID` and `E_CLOSED`.
     */
    execute<T = unknown>(command: string, ...args: CommandArgument[]): Promise<T | null>;
    /**
     * Sends commands in one go, each for itself: not a transaction. The answers in order, null for one that
     * failed; an empty array when Redis is not available. Rejects only with `E_INVALID` and `E_CLOSED`.
     */
    pipeline(operations: readonly PipelineCommand[]): Promise<unknown[]>;
    /** How the server is: the time of a PING, and what INFO says. Never rejects. */
    healthCheck(): Promise<RedisHealth>;
    /** Lets what is in flight finish and closes the instance, memory included. Never rejects. */
    shutdown(): Promise<void>;
    private send;
    private info;
    private state;
}

/** Seconds, or a whole number with a unit: `'90s'`, `'5m'`, `'1h'`, `'7d'`. */
type Duration = number | `${number}${'s' | 'm' | 'h' | 'd'}`;

/** What the connection is doing. */
type BackendState = 'idle' | 'connecting' | 'online' | 'suspect' | 'degraded' | 'resyncing' | 'forced' | 'closed';
/** The events of an instance with what each carries. Times are milliseconds. */
interface HoldfastEvents {
    /** The state changed. */
    'state-change': {
        from: BackendState;
        to: BackendState;
        reason: string | null;
    };
    /** Redis answers, for the first time or again. */
    'backend-connected': Record<never, never>;
    /** The connection to Redis is gone. */
    'backend-disconnected': {
        reason: string | null;
    };
    /** Memory answers from now on. */
    'backend-degraded': {
        reason: string | null;
    };
    /** Redis answers again, and the journal has been replayed. */
    'backend-recovered': Record<never, never>;
    /** The journal is about to be replayed; `depth` is its length. */
    'resync-start': {
        depth: number;
    };
    /** How far the replay has come; a few times a second. */
    'resync-progress': {
        replayed: number;
        remaining: number;
    };
    /** The journal was replayed, as far as it could be. */
    'resync-end': {
        replayed: number;
        conflicts: number;
        failed: number;
        durationMs: number;
    };
    /** No room for a set: it answered false, or became "delete what is older". `dropped` counts all such since the start. */
    'journal-overflow': {
        dropped: number;
    };
    /** Writes of a process that is gone were taken over from `journalPath`; bytes at the end of its file that were no whole record. */
    'journal-adopted': {
        intents: number;
        tornBytes: number;
    };
    /** The journal can't be written to disk, and why; null: it can again. */
    'journal-error': {
        reason: string | null;
    };
    /** Memory was full, and so many entries had to go since the last such event. At most one a second. */
    'memory-eviction': {
        evicted: number;
    };
}
/** The name of an event. */
type HoldfastEventName = keyof HoldfastEvents;
/** A listener of one event. */
type HoldfastListener<Name extends HoldfastEventName> = (event: HoldfastEvents[Name]) => void;

/** One value. Times are ms since 1970. */
interface FallbackDataEntry {
    /** Whose value it is: `fallback`, `cache`, `memoized`, ... */
    family: string;
    key: string;
    /** What `get` would answer; for `encoding: 'text'` the stored text, for `'hex'` the stored bytes. */
    value: unknown;
    /** How `value` stands for what is stored. */
    encoding: 'json' | 'text' | 'hex';
    /** How JS reads the stored bytes; only where it isn't JSON or text. */
    format?: number;
    /** Absent: it never expires. */
    expiry?: number;
    /** Until when it is fresh; absent: as long as it lives. */
    freshUntil?: number;
    /** What its load took, ms. */
    loadMs?: number;
    /** Names of the markers that it depends on: `t:` before a tag, `n:` before a namespace. */
    tags?: readonly string[];
    /** Its place in the order of writes; absent: as if it were written when it is imported. */
    stamp?: readonly [micros: number, process: number];
    /** Acknowledged, and not in Redis yet. */
    pending: boolean;
}
/** A delete that had not reached Redis; without a key it is of the whole family. */
interface FallbackDataRemoval {
    family: string;
    key?: string;
    stamp?: readonly [micros: number, process: number];
}
/** A raw change that had not reached Redis, with `fallback.rawChanges: 'merge'`. */
interface FallbackDataChange {
    /** The raw key, without the key prefix; in hex digits where it is no text. */
    key: string;
    hex: boolean;
    /** The change and its id, as a journal file holds them, in hex digits. */
    record: string;
}
/** What `exportFallbackData` answers. */
interface FallbackData {
    format: 'holdfast-fallback';
    version: 1;
    /** ms since 1970. */
    exportedAt: number;
    /** The machine's boot: by it stamps are understood that were taken before Redis was reached for the first time. */
    boot: string;
    entries: FallbackDataEntry[];
    removals: FallbackDataRemoval[];
    /** Absent: there are none. */
    changes?: FallbackDataChange[];
    /** Invalidations of tags, namespaces and patterns, and keys made stale, as a journal file holds them, in hex digits. */
    invalidations?: string[];
}
/** Values by key, without a version: each counts as written when it is imported. `expiry` is ms since 1970. */
interface LooseFallbackData {
    [key: string]: {
        value: unknown;
        expiry?: number;
        timestamp?: number;
    };
}

/** How memory stands in for Redis. */
interface FallbackOptions {
    /** Whether what was written meanwhile is replayed by itself when Redis is back. Default: true. */
    enableAutoSync?: boolean | undefined;
    /** Bound of the memory store, MB. Default: 100. */
    maxMemorySize?: number | undefined;
    /** Seconds. Default: 30. Checked and without effect: the replay begins when Redis is back, not at intervals. */
    syncInterval?: number | undefined;
    /**
     * Keeping the journal on disk. Needs `fallback.journalPath` or `REDIS_FALLBACK_JOURNAL_PATH`, which alone do
     * the same. Default: false.
     */
    persistentFallback?: boolean | undefined;
}
/** How memory and the journal stand. */
interface FallbackStats {
    /** Whether memory answers instead of Redis. */
    isUsingFallback: boolean;
    /** MB. */
    memoryUsage: number;
    /** Entries in memory. */
    totalKeys: number;
    syncStatus: 'synced' | 'syncing' | 'failed' | 'never';
    /** ms since 1970. */
    lastSyncTime?: number;
    redisAvailable: boolean;
    /** Whether `forceFallbackMode(true)` holds. */
    forced: boolean;
    /** Writes that wait for the replay. */
    journalDepth: number;
    journalBytes: number;
    /**
     * Writes that the last re-sync did not make: a value that something else wrote stood there, or the key was
     * absent and nobody can tell whether it was deleted, or the server refused them for good.
     */
    conflicts: number;
    /** Writes that the full journal could not keep. */
    dropped: number;
    /** Deletes that the full journal collapsed into an invalidation of their family. */
    collapsed: number;
    /** Writes that the last re-sync made, and those that something newer had settled. */
    replayed: number;
    superseded: number;
    /** How long the oldest write has waited for the replay, ms. */
    journalOldestMs?: number;
    /** How long the last re-sync took, ms. */
    lastSyncDurationMs?: number;
    /** Whether the journal is kept on disk, and what keeps it from there. */
    journalOnDisk: boolean;
    journalProblem?: string;
    /** Writes that were taken over from processes that are gone, and bytes of their files that were no whole record. */
    adopted: number;
    tornBytes: number;
    /** Operations on their way to Redis now, their bytes, and those that were refused with `E_OVERLOADED` so far. */
    inFlight: number;
    inFlightBytes: number;
    overloaded: number;
}
/** The names of `on` and `off`: three short ones, and those of the instance. */
type FallbackEventName = 'fallback:activated' | 'redis:connected' | 'redis:disconnected' | HoldfastEventName;
/**
 * The fallback manager. No call rejects because Redis is down. Wrong arguments reject with `E_INVALID`,
 * calls after a shutdown with `E_CLOSED`, and with `journalSync: 'always'` writes that its disk does not take
 * with `E_FULL`.
 */
declare class FallbackManager {
    private readonly connection;
    private closedIn;
    /** The value, of the type that was set, or null. `ttlSeconds` is checked and does not change a lifetime. */
    get<T = unknown>(key: string, ttlSeconds?: Duration): Promise<T | null>;
    /**
     * Stores a text or what JSON can hold. `ttlSeconds`: seconds or `'1h'`; without it, or 0, the value never
     * expires. True when Redis or memory has it.
     */
    set<T>(key: string, value: T, ttlSeconds?: Duration): Promise<boolean>;
    /** Removes a key. True when there was something. */
    delete(key: string): Promise<boolean>;
    /** Whether the key holds a value. */
    exists(key: string): Promise<boolean>;
    /** The values of keys in order, null for a miss; one trip for all. */
    mget<T = unknown>(keys: readonly string[]): Promise<(T | null)[]>;
    /** Stores several values; one trip for all, not a transaction. True when every one is kept. */
    mset(record: Readonly<Record<string, unknown>>, ttlSeconds?: Duration): Promise<boolean>;
    /** Replays what was written while Redis was away. Resolves when that is done or has failed: see `syncStatus`. */
    syncWithRedis(): Promise<void>;
    /** A copy of how memory and the journal stand. */
    getStats(): FallbackStats;
    /** Forgets this manager's values in memory. What Redis holds stays. */
    clearFallbackData(): void;
    /** The keys of this manager that are in memory. */
    getFallbackKeys(): string[];
    /** What memory and the journal hold, as plain data: `JSON.stringify` keeps all of it. */
    exportFallbackData(): FallbackData;
    /**
     * Puts exported data in the place of the copies in memory. Writes that had not reached Redis go into the
     * journal, with their old place in the order of writes. Takes also `{ key: { value, expiry?, timestamp? } }`.
     * Throws `E_INVALID` with the path of what is wrong, and changes nothing then.
     */
    importFallbackData(data: FallbackData | LooseFallbackData): void;
    /** true: memory alone answers, even when Redis is up, until false. Takes effect before this returns. */
    forceFallbackMode(enabled: boolean): Promise<void>;
    /** Adds a listener; it never holds the process open. Unknown names throw `E_INVALID`. */
    on(event: 'fallback:activated' | 'redis:connected' | 'redis:disconnected', listener: () => void): void;
    on<Name extends HoldfastEventName>(event: Name, listener: HoldfastListener<Name>): void;
    /** Removes a listener. */
    off(event: 'fallback:activated' | 'redis:connected' | 'redis:disconnected', listener: () => void): void;
    off<Name extends HoldfastEventName>(event: Name, listener: HoldfastListener<Name>): void;
    /** Replays what waits, if Redis is there, and refuses every later call of this manager with `E_CLOSED`. Never rejects. */
    shutdown(): Promise<void>;
    private write;
    private reach;
}

/** A signal, or what has one, such as a request. */
type Abortable = AbortSignal | {
    readonly signal: AbortSignal;
};

/** A message as a handler gets it. */
interface PubSubMessage<Data = unknown> {
    /** Of this message alone; '' for one that something else published. */
    id: string;
    /** Without the prefix. */
    channel: string;
    /** What was published; of something else's message its JSON, or its text. */
    data: Data;
    /** When it was published, ms since 1970 on its publisher's clock. */
    timestamp: number;
    userId?: string;
    sessionId?: string;
    metadata?: Record<string, unknown>;
    /** Where it stands among the messages that its channel keeps; of a persistent one. */
    eventId?: string;
    /** It waited for Redis to come back: it may be out of date, and come behind newer ones of other publishers. */
    late?: true;
    /** Redis does not answer, and only this process has it so far. */
    degraded?: true;
}
/** Options of `publish`. */
interface PublishOptions {
    userId?: string | undefined;
    sessionId?: string | undefined;
    metadata?: Record<string, unknown> | undefined;
    /** Whether the channel keeps it for those who come later. Default: false. */
    persistent?: boolean | undefined;
    /** For how long the channel keeps its messages, from the last one on: seconds, or `'1h'`. Default: 3600. */
    ttl?: number | `${number}${'s' | 'm' | 'h' | 'd'}` | undefined;
    /** Whether it waits for a Redis that does not answer. Default: true; a persistent one always waits. */
    buffer?: boolean | undefined;
    /** About how many the channel keeps. Default: 1000. */
    maxLength?: number | undefined;
}

/**
 * What becomes of a message that finds the queue full: the one that waits longest goes (`'drop-oldest'`), it goes itself
 * (`'drop-newest'`), or the subscription ends (`'disconnect'`).
 */
type OverflowPolicy = 'drop-oldest' | 'drop-newest' | 'disconnect';

/** Takes a message. What it answers may be a promise: the next message waits for it. */
type MessageHandler<Data = unknown> = (message: PubSubMessage<Data>) => unknown;
/** What a subscription may have missed. */
interface Gap {
    /**
     * `'reconnected'`: the connection was gone. `'overflow'`: more came than could be taken. `'trimmed'`: the channel no
     * longer keeps what was missed.
     */
    reason: 'reconnected' | 'overflow' | 'trimmed';
    /** Since when, ms since 1970 on this host's clock. */
    since: number;
    /** How many messages are missing; null: nobody knows. Of a persistent channel those that it keeps come behind this. */
    missed: number | null;
}
/** What happens to a subscription. */
interface SubscriptionEvents {
    gap: (gap: Gap) => void;
    /** A handler threw, or what was missed could not be read yet. */
    error: (error: unknown) => void;
    /** It ended: left, its instance closed, or by its policy. */
    end: () => void;
}
/** Counts of a subscription. */
interface SubscriptionStats {
    received: number;
    delivered: number;
    dropped: number;
    queued: number;
}
declare class Subscription<Data = unknown> implements AsyncIterable<PubSubMessage<Data>> {
    private readonly channels;
    /** As it was asked for. */
    readonly channel: string;
    private readonly handler;
    private readonly plan;
    private readonly queue;
    private readonly heard;
    private received;
    private delivered;
    private running;
    private isEnded;
    private alive;
    /** How many found no room since that was told. */
    private untold;
    private lastId;
    /** Of a persistent channel. */
    private readonly follower;
    /**
     * The event id of the last message that the handler or the loop was given, or where it began, to go on from there
     * another time; null: none.
     */
    get lastEventId(): string | null;
    get ended(): boolean;
    get stats(): SubscriptionStats;
    /** Hears what happens to it. */
    on<Name extends keyof SubscriptionEvents>(event: Name, listener: SubscriptionEvents[Name]): this;
    off<Name extends keyof SubscriptionEvents>(event: Name, listener: SubscriptionEvents[Name]): this;
    /** Ends it. What waits is not handed on any more. */
    unsubscribe(): Promise<void>;
    /** The messages one after the other, if it has no handler. Leaving the loop ends it. */
    [Symbol.asyncIterator](): AsyncIterator<PubSubMessage<Data>, undefined>;
    [Symbol.asyncDispose](): Promise<void>;
    private put;
    private run;
    /** Hands on what waits, one after the other. */
    private runOn;
    private given;
    /** What a handler answers, if that is a promise. */
    private call;
    private failed;
    private overflown;
    private tell;
}

/** Options of `createPubSubManager`. */
interface PubSubManagerOptions {
    /** What channels begin with, in place of the key prefix; `''` for nothing, as other publishers may name them. */
    channelPrefix?: string | undefined;
    /** Whether channels are those of shards (`SPUBLISH`): in a cluster they don't reach every node. Default: false. */
    sharded?: boolean | undefined;
    /** How many messages of a channel wait for a Redis that does not answer. Default: 100 (`REDIS_PUBSUB_BUFFER_SIZE`). */
    bufferSize?: number | undefined;
    /** How many of all channels do. Default: 1000 (`REDIS_PUBSUB_MAX_BUFFER`). */
    maxBuffer?: number | undefined;
}
/** Options of `subscribe`. */
interface PubSubOptions {
    /** Whether the channel is a pattern, as `SUBSCRIBE` of Redis takes them: `*`, `?`, `[abc]`. Default: false. */
    pattern?: boolean | undefined;
    /**
     * Whether what the channel keeps is read after an interruption, so that no persistent message is missed. Default: false.
     */
    persistent?: boolean | undefined;
    /** Behind which event of a persistent channel it begins: an `eventId`, or `'0-0'` for all it keeps. Default: with what comes. */
    from?: string | undefined;
    /** How many messages wait while a handler is busy. Default: 1000. */
    maxQueue?: number | undefined;
    /** What becomes of those that find no room. Default: `'drop-oldest'`. */
    onOverflow?: OverflowPolicy | undefined;
    /** Ends it. A request counts for its signal, and is kept: Node does not abort the signal of one that was collected. */
    signal?: Abortable | undefined;
    /** Hears what may have been missed. */
    onGap?: ((gap: Gap) => void) | undefined;
    /** Whether it keeps the process running. Default: true. */
    keepAlive?: boolean | undefined;
    /** Whether messages wait at all. Default: true. */
    buffer?: boolean | undefined;
    /** The same as `maxQueue`. */
    maxBuffer?: number | undefined;
    /** Accepted; how long a channel keeps messages is `publish`'s to say. */
    ttl?: number | undefined;
}
/** How a channel stands in this process. */
interface ChannelStats {
    channel: string;
    subscribers: number;
    messagesPublished: number;
    messagesReceived: number;
    /** Those that found no room. */
    messagesDropped: number;
    backend: 'redis' | 'memory';
}
/** Who is present. */
interface Present {
    userId: string;
    status: string;
}
declare class PubSubManager {
    private readonly connection;
    private readonly options;
    private readonly name;
    private decided;
    private readonly subscriptions;
    private readonly published;
    /** Listens to a channel, and calls the handler for each message, one after the other. */
    subscribe<Data = unknown>(channel: string, handler: MessageHandler<Data>, options?: PubSubOptions): Promise<Subscription<Data>>;
    /** Listens to a channel; `for await` takes its messages. */
    subscribe<Data = unknown>(channel: string, options?: PubSubOptions): Promise<Subscription<Data>>;
    /** Ends the subscriptions of a channel: all of them, or those of this handler. */
    unsubscribe(channel: string, handler?: MessageHandler<never>): Promise<void>;
    /**
     * Publishes a message. While Redis does not answer it reaches this process at once and the others when Redis is back,
     * marked late; so many wait, and then the oldest go. True: it was taken.
     */
    publish(channel: string, data: unknown, options?: PublishOptions): Promise<boolean>;
    /** What a channel keeps of its persistent messages, the newest first. `limit`: at most so many (default: 50). */
    getPersistentMessages<Data = unknown>(channel: string, limit?: number): Promise<PubSubMessage<Data>[]>;
    /** How channels stand in this process: one, or all that have subscribers or were published to. */
    getChannelStats(channel?: string): ChannelStats[];
    /** The channels and patterns that have subscribers in this process. */
    getActiveChannels(): string[];
    /** How many subscribers a channel has in this process. */
    getSubscriberCount(channel: string): number;
    /** Ends all subscriptions. */
    clearSubscriptions(): Promise<void>;
    /** Ends all subscriptions. The instance closes with `close()`. */
    shutdown(): Promise<void>;
    /** Notes for so long that a user is in a room; `null`: no longer. */
    setPresence(room: string, userId: string, status: string | null, ttl?: PublishOptions['ttl']): Promise<void>;
    /** Who is in a room. While Redis does not answer: whom this process noted. */
    getPresence(room: string): Promise<Present[]>;
    private presence;
    private read;
    private topicOf;
    /** Whether memory stands in for a server. Where it is all there is, it knows what is kept. */
    private isAlone;
    private count;
    private note;
    private forget;
}

/** The cookie of sessions. It is always `HttpOnly` with `Path=/` and no `Domain`. */
interface CookieOptions {
    /** Its name without the prefix. Default: `'session'`. */
    name?: string | undefined;
    /**
     * Whether it is `Secure`, and named `__Host-...`, so that no other host and no plain connection can set it. Default:
     * true in production; in development false, since not every browser keeps such a cookie for http://localhost.
     */
    secure?: boolean | undefined;
    /** Default: `'lax'`. */
    sameSite?: 'lax' | 'strict' | undefined;
    /** Whether it ends with the browser. Default: false, it lasts as long as a session can. */
    untilClosed?: boolean | undefined;
}
/** The cookie store of Next, as far as it is needed: what `await cookies()` gives. */
interface CookieStore {
    get(name: string): {
        readonly value: string;
    } | undefined;
    set?(name: string, value: string, options: Record<string, unknown>): unknown;
}
/** Headers as Node's own requests have them. */
type PlainHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;
/** A response of Node's own, as far as it is written to. */
interface NodeResponse {
    appendHeader(name: string, value: string): unknown;
    getHeader(name: string): unknown;
    setHeader(name: string, value: string): unknown;
}
/** Where a cookie is read: a request of the web or of Node, its headers, or the cookie store of Next. */
type CookieSource = {
    readonly headers: HeaderReader | PlainHeaders;
} | HeaderReader | PlainHeaders | CookieStore;
/** Where it is written: a response of the web or of Node, its headers, or the cookie store of Next. */
type CookieTarget = {
    readonly headers: Headers;
} | Headers | CookieStore | NodeResponse;
/** Headers, as far as they are read. */
interface HeaderReader {
    get(name: string): string | null;
}
declare class SessionCookies {
    private readonly plan;
    private readonly lifetimeMs;
    /** The cookie's name, with its prefix. */
    get name(): string;
    /** The id that a request carries; null: none. */
    read(source: CookieSource): string | null;
    /**
     * Gives the client an id, and asks caches not to keep the response. Answers the target, or a copy of a response whose
     * headers can't be changed (`Response.redirect`). The cookie lasts as long as `lastsMs`, by default as a session can.
     */
    set<Target extends CookieTarget>(target: Target, sessionId: string, lastsMs?: number): Target;
    /** Takes the client's id away; answers as `set` does. */
    clear<Target extends CookieTarget>(target: Target): Target;
    /** The value of a `Set-Cookie` header that gives the client an id. */
    header(sessionId: string): string;
    private maxAge;
    private write;
    private append;
    private text;
    private noteInsecure;
}

/** What a session holds for its user: by field, what JSON can hold. */
type SessionFields = Record<string, unknown>;
/**
 * What sessions do while Redis is configured and does not answer. `'local'`: sessions that this process knows are read and
 * changed, and written to Redis when it is back; guests may begin, and users where `degradedLogins` says so.
 * `'read-only'`: they are read; of changes only an end is taken. `'fail'`: every call but an end fails with
 * `E_UNAVAILABLE`.
 */
type SessionOutageMode = 'local' | 'read-only' | 'fail';
/** Options of `createSessionManager`. */
interface SessionManagerOptions {
    /** After so long without use a session ends: seconds, or `'30m'`. Default: 86400 (`REDIS_SESSION_TTL`). */
    ttl?: Duration | undefined;
    /** So long after it was made it ends, however much it is used. Default: `'30d'`. */
    absoluteTtl?: Duration | undefined;
    /** Whether reading counts as use. Default: true. */
    sliding?: boolean | undefined;
    /** Use is noted at most once in this time. Default: a twentieth of `ttl`, at most a minute. */
    touchAfter?: Duration | undefined;
    /** What the keys of sessions begin with, behind the key prefix. Default: `'session:'` (`REDIS_SESSION_PREFIX`). */
    prefix?: string | undefined;
    /** About so many sessions of guests are kept; beyond it those go first that end first. Default: 1000000; 0: all. */
    maxGuests?: number | undefined;
    /** For so long an id that was rotated leads to the session still. Default: 10 s. */
    rotationGrace?: Duration | undefined;
    /** Default: `'local'`. */
    onUnavailable?: SessionOutageMode | undefined;
    /** Whether users may log in while Redis does not answer. Default: false. */
    degradedLogins?: boolean | undefined;
    /** For so long after Redis vouched for it last a session is taken from this process' copy. Default: `'15m'`. */
    maxDegradedSession?: Duration | undefined;
    /** The cookie that carries the id. */
    cookie?: CookieOptions | undefined;
}
/** Options of single calls. */
interface SessionOptions {
    /** After so long without use it ends: seconds, or `'30m'`. Default: the manager's, 86400. */
    ttl?: Duration | undefined;
    /** Whether reading counts as use. Default: the manager's, true. */
    sliding?: boolean | undefined;
    /** Default: the manager's. */
    prefix?: string | undefined;
    /** So long after it was made it ends. Default: the manager's. Counts where a session is made. */
    absoluteTtl?: Duration | undefined;
    /** Kept with a session that is made, and shown with it. */
    ipAddress?: string | null | undefined;
    /** Kept with a session that is made, and shown with it. */
    userAgent?: string | null | undefined;
}

/** Sessions of guests: what belongs to a user is not there for them. */
interface GuestSessions {
    /** Makes one, whose data has `type: 'guest'`. `ttl`: seconds (default: 86400). Resolves to its id. */
    createGuestSession(initialData?: SessionFields, ttl?: number): Promise<string>;
    /** One by its id; null: there is none, or it is a user's. */
    getGuestSession(sessionId: string): Promise<SessionData | null>;
    /** Sets fields of its data. False: there is none, or it is a user's. */
    updateGuestSession(sessionId: string, data: SessionFields): Promise<boolean>;
    /**
     * Makes it a user's, with its data, under a new id; the old one is worth nothing from then on. Resolves to the new id;
     * null: there is none, or it is a user's already.
     */
    convertToAuthenticatedSession(sessionId: string, userId: string): Promise<string | null>;
}

/** Options of `openSession`. */
interface OpenOptions extends SessionOptions {
}
/** A request's session. What changes the id has to be given to the client: `commit(response)`. */
declare class RequestSession<Data extends object = SessionFields> {
    private readonly manager;
    private readonly options;
    private found;
    private sent;
    /** The client's cookie opens nothing any more. */
    private wasEnded;
    private isDestroyed;
    /** An id that a write has made, until it was seen what it holds. */
    private made;
    /** An id whose end was asked for, until it is known that it is ended. */
    private ending;
    /** It was ended while this request had it. */
    private isLost;
    /** The last call, until it is done. */
    private last;
    private constructor();
    /** The session; null: the client has none yet. */
    get session(): SessionData<Data> | null;
    /** Its id; null: the client has none yet. */
    get id(): string | null;
    /** Whose it is; null: a guest's, or nobody's yet. */
    get userId(): string | null;
    /** What it holds. */
    get data(): Partial<Data>;
    /**
     * Sets fields; undefined removes one. Makes a guest's session where there is none. One that was ended meanwhile
     * takes nothing (`E_CONFLICT`), by a log-in beside this perhaps. Nor does one that nobody can vouch for
     * while Redis is away (`E_UNAVAILABLE`).
     */
    set(data: Partial<Data>): Promise<void>;
    private setNow;
    /** Changes the data by a function of it, as `sessionManager.update`. False: there is no session. */
    update(change: SessionUpdate<Data>): Promise<boolean>;
    private updateNow;
    /** Logs a user in, under a new id; what a guest has kept stays. */
    authenticate(userId: string, data?: SessionFields): Promise<void>;
    /** Gives it a new id. False: there is no session. */
    rotate(): Promise<boolean>;
    private rotateNow;
    /** Ends it. */
    destroy(): Promise<void>;
    private destroyNow;
    /**
     * Tells the client of its id, where it has another or none: a response, its headers, or the cookie store of Next. Answers
     * the target, or a copy of a response whose headers can't be changed (`Response.redirect`).
     */
    commit<Target extends CookieTarget>(target: Target): Target;
    /** Each call goes by what the one before it has come to. */
    private inTurn;
    /**
     * Whether the client is to forget its cookie. A guest's that opens nothing does no harm, and where somebody logs in
     * beside this request, taking it away could take away the user's that came in its place.
     */
    private get isOver();
    /** The cookie names a session that may be there: Redis did not answer when it was read. */
    private get isUnknown();
    /** Shows what a write has made. */
    private look;
    /** Whether a session that a call did not find is gone. While Redis is away nobody knows, and all stays as it was. */
    private isGone;
    private lookUp;
}

/** A session as its user sees it. */
interface SessionData<Data extends object = SessionFields> {
    /**
     * As it was asked for; in lists the handle, which names a session and opens none. It is read by its name alone: what is
     * logged, copied or sent of a session does not hold it.
     */
    readonly id: string;
    /** By which `revoke` knows it. Not secret. */
    handle: string;
    userId?: string;
    isGuest: boolean;
    data: Data;
    /** When it was made, ms since 1970. */
    createdAt: number;
    /** When it was used, ms since 1970. */
    lastAccessedAt: number;
    /** When it ends if nobody uses it, ms since 1970. */
    expiresAt: number;
    /** When it ends however much it is used, ms since 1970. */
    absoluteExpiresAt: number;
    ipAddress?: string;
    userAgent?: string;
    /** Grows with every change. */
    version: number;
    /** Memory answered for a Redis that doesn't: what changed elsewhere since may be missing. */
    degraded: boolean;
}
/** How many sessions there are. */
interface SessionStats {
    totalSessions: number;
    /** Those that have not ended. */
    activeSessions: number;
    guestSessions: number;
    authenticatedSessions: number;
    backend: 'redis' | 'memory';
}
/** What `update` does with the data: changed fields are written, missing ones removed. Undefined: nothing. */
type SessionUpdate<Data extends object> = (data: Data) => Data | undefined | Promise<Data | undefined>;
declare class SessionManager {
    private readonly connection;
    private readonly options;
    private readonly name;
    /** The last change of each session by a function, until it is done. */
    private readonly updating;
    private decided;
    /** Reads and writes the cookie that carries the id. */
    get cookies(): SessionCookies;
    private get plan();
    private get store();
    /** Makes a session: of a user, or without one of a guest. Resolves to its id, which only its owner may know. */
    createSession(userId?: string | null, initialData?: SessionFields, options?: SessionOptions): Promise<string>;
    /** A session by its id; null: there is none, or it has ended. Reading counts as use, unless `sliding` is false. */
    getSession<Data extends object = SessionFields>(sessionId: string, options?: SessionOptions): Promise<SessionData<Data> | null>;
    /**
     * Sets fields of a session's data, each by itself: changes of other fields by others stay. A field that is undefined is
     * removed. False: there is no such session. What is left of its time stays, unless a `ttl` is given.
     */
    updateSession(sessionId: string, data: SessionFields, options?: SessionOptions): Promise<boolean>;
    /**
     * Changes a session's data by a function of it: if somebody else changed it meanwhile, the function is called again with
     * what is there then, up to sixteen times (`E_CONFLICT`). Those of this process wait for each other. Resolves to the
     * session; null: there is none.
     */
    update<Data extends object = SessionFields>(sessionId: string, change: SessionUpdate<Data>, options?: SessionOptions): Promise<SessionData<Data> | null>;
    /** Ends a session for good: nothing that is under way brings it back. False: there was none. */
    deleteSession(sessionId: string, options?: SessionOptions): Promise<boolean>;
    /** The same by the handle that a list shows. Takes an id, too. */
    revoke(handle: string, options?: SessionOptions): Promise<boolean>;
    /** Whether a session is there. Does not count as use. */
    sessionExists(sessionId: string, options?: SessionOptions): Promise<boolean>;
    /** A session's data; null: there is no such session. */
    getSessionData<Data extends object = SessionFields>(sessionId: string): Promise<Data | null>;
    /** Sets one field of a session's data; undefined removes it. False: there is no such session. */
    setSessionData(sessionId: string, key: string, value: unknown): Promise<boolean>;
    /**
     * Gives a session a new id, as after a change of what its user may do; the absolute lifetime goes on. The old one leads
     * to it for a moment still, for requests that are under way. Resolves to the new id; null: there is no such session.
     */
    rotate(sessionId: string, options?: SessionOptions): Promise<string | null>;
    /**
     * Logs a user in. A guest's session goes on as theirs, with its data, under a new id, and the old id is worth nothing
     * from then on; so does a session of their own. Without one, or from another user's, a new one begins. Resolves to
     * the new id.
     */
    authenticate(sessionId: string | null | undefined, userId: string, data?: SessionFields, options?: SessionOptions): Promise<string>;
    /** A user's sessions, those first that were used last. Each has its handle for an id. What is damaged is left out. */
    getUserSessions<Data extends object = SessionFields>(userId: string, options?: SessionOptions): Promise<SessionData<Data>[]>;
    /** Ends all of a user's sessions at once, however many there are. Resolves to how many there were. */
    invalidateUserSessions(userId: string, options?: SessionOptions): Promise<number>;
    /** Ends all sessions of this one's user but this one. Resolves to how many there were; of a guest 0. */
    revokeOthers(sessionId: string, options?: SessionOptions): Promise<number>;
    /** How many sessions there are: counted by lists that every change keeps, not by looking at each. */
    getStats(options?: SessionOptions): Promise<SessionStats>;
    /**
     * Ends every session. While Redis does not answer, every one that this process knows. Where something else wrote to keys,
     * so that what is there can't be ended, it ends all others, and then rejects with `E_DATA` and its `failures` by handle.
     */
    clearAllSessions(options?: SessionOptions): Promise<void>;
    /** The session that a request carries: read when it is asked for, and made when it has something to keep. */
    openSession<Data extends object = SessionFields>(source: CookieSource, options?: OpenOptions): Promise<RequestSession<Data>>;
    /** Refuses every later call of this manager with `E_CLOSED`, until the system is initialised anew. Sessions stay. */
    shutdown(): Promise<void>;
    /** Those of guests, under the seed's names. */
    get guests(): GuestSessions;
    private updateNow;
    private make;
    /** How a session begins that is made now. */
    private termsOf;
    /** Another time without use after which a session ends, as a change of it. */
    private lifetimeOf;
    /** Makes a session. Resolves to its id. */
    private begin;
    /** Goes on as another session, which nobody knows before. Null: it was ended meanwhile, which counts for more. */
    private move;
    /** A session as it is shown; that it is used is noted where it is time. */
    private shownOf;
    private endAll;
    /** Reads all of a user's sessions, and takes off the list what is no more. */
    private readAll;
    private endListed;
}

/** A part of the system that this version does not have. */
type AbsentPart = 'healthMonitoring';
/** Options of `initializeRedisSystem`. */
interface InitializeOptions {
    /** Default: true. Accepted; see `absent` of the result. */
    enableHealthMonitoring?: boolean | undefined;
    /** ms. Default: 30000. Accepted; see `absent` of the result. */
    healthCheckInterval?: number | undefined;
    /** Whether memory answers while Redis doesn't. Default: true, or what the environment says. */
    enableFallback?: boolean | undefined;
    /** How it does. */
    fallbackOptions?: FallbackOptions | undefined;
}
/** Which parts are at work. */
interface SystemComponents {
    redis: boolean;
    cache: boolean;
    sessions: boolean;
    pubsub: boolean;
    fallback: boolean;
}
/** What `initializeRedisSystem` answers. */
interface InitializeResult {
    /** Whether at least one part is at work. */
    success: boolean;
    components: SystemComponents;
    /** Counts the parts at work. */
    message: string;
    /** The parts that this version does not have. */
    absent: AbsentPart[];
}
/** What `getSystemStatus` answers. */
interface SystemStatus {
    redis: {
        available: boolean;
        status?: RedisHealth;
    };
    cache: {
        backend: CacheStats['backend'];
        stats: CacheStats;
    };
    sessions: {
        backend: SessionStats['backend'];
        stats: SessionStats;
    };
    /** The channels and patterns with subscribers in this process, and how all channels stand here. */
    pubsub: {
        channels: number;
        stats: ChannelStats[];
    };
    fallback: {
        active: boolean;
        stats: FallbackStats;
    };
    /** Redis down with memory answering is `degraded`, without it `unhealthy`; else how Redis is. Memory for good is `healthy`. */
    overall: 'healthy' | 'degraded' | 'unhealthy';
    /** The parts that this version does not have. */
    absent: AbsentPart[];
}

/** The Redis client of the shared instance. */
declare const redisClient: RedisClient;
/** Whether Redis answers now. False until the first attempt succeeded, which this starts. */
declare const isRedisAvailable: () => boolean;
/** How the server is. Never rejects. */
declare const getRedisHealth: () => Promise<RedisHealth>;

/** What a caller should do about an error; one word per kind. */
type HoldfastErrorCode = 'E_INVALID' | 'E_UNAVAILABLE' | 'E_TIMEOUT' | 'E_OVERLOADED' | 'E_FULL' | 'E_CONFLICT' | 'E_DATA' | 'E_AUTH' | 'E_UNSUPPORTED' | 'E_CLOSED' | 'E_INTERNAL';
/** What an error is made of. */
interface HoldfastErrorFields {
    code: HoldfastErrorCode;
    message: string;
    /** Whether the same call may succeed later. Default: false. */
    retryable?: boolean;
    /** Whether a write can have happened although its call failed. Default: 'no'. */
    applied?: 'no' | 'unknown';
    /** The public call that failed, such as `cacheManager.set`. Default: ''. */
    operation?: string;
    /** The field that is wrong, for `E_INVALID`. */
    path?: string | undefined;
    /** The error of each key that failed, of a call about many. */
    failures?: ReadonlyMap<string, Error>;
    cause?: unknown;
}
/**
 * Every error of this package.
 *
 * | code | what to do |
 * |---|---|
 * | `E_INVALID` | fix the call; `path` names the field |
 * | `E_UNAVAILABLE` | no server answers and memory can't; try again later |
 * | `E_TIMEOUT` | a deadline passed or the call was aborted; read `applied` before trying again |
 * | `E_OVERLOADED` | refused at once, nothing was sent; slow down |
 * | `E_FULL` | no room, in Redis, in memory or on the journal's disk |
 * | `E_CONFLICT` | somebody else was first |
 * | `E_DATA` | what is stored is not what the call expects |
 * | `E_AUTH` | the server refuses this user or password |
 * | `E_UNSUPPORTED` | this server, platform or runtime can't do that |
 * | `E_CLOSED` | the instance was closed before the call |
 * | `E_INTERNAL` | a defect of this package; report it |
 *
 * No secret stands in any of its fields.
 */
declare class HoldfastError extends Error {
    /** What kind of failure this is. */
    readonly code: HoldfastErrorCode;
    /** Whether the same call may succeed later. */
    readonly retryable: boolean;
    /** `'no'`: nothing was written. `'unknown'`: it was sent, and no answer came; or memory has it, and the journal's disk not. */
    readonly applied: 'no' | 'unknown';
    /** The public call that failed, such as `cacheManager.set`. */
    readonly operation: string;
    /** The field that is wrong, for `E_INVALID`; else undefined. */
    readonly path?: string;
    /** The error of each key that failed, of a call about many; else undefined. */
    readonly failures?: ReadonlyMap<string, Error>;
    constructor(fields: HoldfastErrorFields);
    /**
     * Whether a value is an error of this package, whichever copy of the package made it: with bundlers
     * and hot reload `instanceof` can be false for a true one.
     */
    static isInstance(value: unknown): value is HoldfastError;
    /** The fields, for logs. The stack is left out. */
    toJSON(): Record<string, unknown>;
}

/** A serializer of one's own. Both functions answer at once, never by a promise. */
interface CustomSerializer {
    /** What is stored of a value: well-formed text, or bytes. What it throws is the `cause` of an `E_INVALID`. */
    serialize(value: unknown): string | Uint8Array;
    /**
     * The value again: from text where `serialize` made text, from bytes where it made bytes. The bytes are its to
     * keep. What it throws is the `cause` of an `E_DATA`.
     */
    deserialize(data: string | Uint8Array): unknown;
}
/**
 * How values are written.
 *
 * - `'json'`: JSON, by its own rules. Every program can read it.
 * - `'structured'`: what structured clone can hold, in V8's own format. Beyond JSON that is Date, Map, Set, BigInt,
 *   RegExp, Error, ArrayBuffer, typed arrays and Buffers, undefined inside a value, NaN, Infinity, -0, holes, and
 *   objects that stand in several places or hold themselves. Functions, symbols, promises, proxies and weak
 *   references are `E_INVALID`.
 *
 *   **An instance of a class comes back as a plain object** with its own enumerable fields: without its methods,
 *   its accessors and what is private. So a `URL` or `Headers` comes back as `{}`. An Error keeps its message, stack
 *   and cause, and its name where that is one of JavaScript's own (AggregateError becomes Error); `code` and other
 *   fields of its own are lost. So are fields that are named by symbols, and the `lastIndex` of a RegExp.
 *
 *   Only Node reads it. A newer Node reads what an older one wrote, but for an Error with a cause that Node 20
 *   wrote: to Node 22 and later that is `E_DATA`. What a newer one wrote can be `E_DATA` to an older one. Objects
 *   may stand in each other 1,000 deep, and an Error must not be among its own causes: V8 can write more than it
 *   can read again.
 * - An object with `serialize` and `deserialize`: one's own.
 */
type Serializer = 'json' | 'structured' | CustomSerializer;

/** Who answered. */
type Source = 'redis' | 'near' | 'memory';

/** Options of a cache call. */
interface CacheOptions {
    /**
     * Lifetime: seconds, or `'90s'`, `'5m'`, `'1h'`, `'7d'`; at most 100 years.
     * Default, also for 0: 3600 s (`REDIS_CACHE_DEFAULT_TTL`).
     */
    ttl?: Duration | undefined;
    /** The value never expires. Not together with `ttl`. Default: false. */
    persist?: boolean | undefined;
    /** A random time up to this is added to the lifetime, so that values don't end together. Default: none. */
    jitter?: Duration | undefined;
    /** For how long the value is kept beyond its lifetime, to serve when its loader fails or is slow. Default: none. */
    grace?: Duration | undefined;
    /** Names by which the value can be invalidated together with others; at most 64. Default: none. */
    tags?: readonly string[] | undefined;
    /** The family of keys: the full key is `{keyPrefix}{prefix}:{key}`. Default: `'cache'`. */
    prefix?: string | undefined;
    /** Whether a large value may be stored compressed. Default: true. */
    compress?: boolean | undefined;
    /** How values are written; reading needs it only for one of your own. Default: `'json'`. */
    serializer?: Serializer | undefined;
    /** Whether memory may answer and keep while Redis doesn't. Default: true. */
    fallbackToMemory?: boolean | undefined;
    /** Fails with `E_UNAVAILABLE` unless Redis itself answers. Default: false. */
    requireRedis?: boolean | undefined;
    /** Reads past the copies in this process, from Redis itself. Default: false. */
    skipL1?: boolean | undefined;
    /** Uses nothing but this process' memory: Redis is neither asked nor told. Default: false. */
    l1Only?: boolean | undefined;
    /** Reads also what is no longer fresh, where grace keeps it. Default: false. */
    allowStale?: boolean | undefined;
    /** Answers a frozen object: of JSON the same for all who ask so, which spares its parsing. Default: false. */
    shared?: boolean | undefined;
    /** Gives the call up. The error's `applied` tells whether it may have happened all the same. */
    signal?: AbortSignal | undefined;
}
/** Options of a call that loads. */
interface LoadOptions extends CacheOptions {
    /** For how long an old value serves after its loader failed, before it is tried again. Default: 30 s. */
    graceBackoff?: Duration | undefined;
    /** After so many ms an old value serves while the loader goes on; 0: at once. Needs `grace`. Default: never. */
    softTimeoutMs?: number | undefined;
    /** After so many ms the loader is told to stop and its callers wait no longer. Default: never. */
    hardTimeoutMs?: number | undefined;
    /** After so many ms another process that loads the same key is not waited for. Default: never. */
    lockTimeoutMs?: number | undefined;
    /** From this part of its freshness on (above 0, below 1) a value that is asked for is loaded anew beside. */
    eagerRefresh?: number | undefined;
    /** Loads anew, whatever is cached. Default: false. */
    forceFresh?: boolean | undefined;
}

/** Options of calls about many keys. */
interface BatchOptions {
    /**
     * Hears of each key that failed; its answer is then what a miss or a write that was not kept answers. Without it the
     * call rejects with the first error, once all keys are through; `failures` has the others.
     */
    onError?: ((key: string, error: Error) => void) | undefined;
}
/** One value of `setMany`. Its own options outrank those of the call. */
interface CacheItem<T = unknown> {
    key: string;
    value: T;
    options?: CacheOptions | undefined;
}

/** What takes part in the key of an answer. */
interface AIKeyOptions {
    /** The headers that decide an answer, in any case. Default: none. */
    headers?: readonly string[] | undefined;
    /** Whose answer it is: nobody else finds it. Default: everybody's. */
    scope?: AIScope;
}
/**
 * Whom an answer belongs to: a tenant, a user, or a user of a tenant. A field that is given must have a text: an
 * answer whose owner is not known is no answer for everybody.
 */
interface AIScope {
    tenant?: string;
    user?: string;
}

/** What is asked: a text, messages, or an object such as `{ system, messages, tools }`. */
type AIPrompt = string | object;
/** What decides an answer besides prompt and model: temperature, system prompt, tools. */
type AIParameters = Readonly<Record<string, unknown>>;

/** A vector; it comes back as 32-bit floats. */
type Vector = readonly number[] | Float32Array | Float64Array;
/** A text with its vector. */
interface EmbeddingEntry {
    text: string;
    vector: Vector;
}
/** Options of `getCachedEmbeddings`. `onError` hears of each text that failed, or whose vector can't be read. */
interface EmbeddingOptions extends AIKeyOptions, BatchOptions {
}

/** What is still there for a key, though it is not fresh. */
interface StaleEntry<T> {
    readonly value: T;
    /** How long ago it was written. */
    readonly ageMs: number;
}
/** What a loader gets. */
interface LoadContext<T = unknown> {
    /** Aborted when `hardTimeoutMs` is over: nobody waits for the result any more. */
    readonly signal: AbortSignal;
    /** The old entry, for a loader that can do with less; null when there is none. */
    readonly stale: StaleEntry<T> | null;
    /** Says that the result is not to be cached. Answers undefined, to be returned where there is none. */
    skip(): undefined;
    /** Ends the load as a failure: an old value serves where grace allows it, else every caller gets this error. */
    fail(reason: unknown): never;
    /** The lifetime of the result, in place of the option. */
    setTtl(ttl: Duration): void;
    /** The tags of the result, in place of the option. */
    setTags(tags: readonly string[]): void;
}

/** What a loader of many keys answers: values in the order of the keys, or by key. A key without one is not cached. */
type LoadedMany<T> = readonly (T | undefined)[] | ReadonlyMap<string, T> | Readonly<Record<string, T>>;
/** A loader of many keys. */
type LoadMany<T, Old> = (missing: readonly string[], context: LoadContext<Old>) => LoadedMany<T> | Promise<LoadedMany<T>>;

/** A value to be cached, or how it is loaded. */
type WarmEntry<T = unknown> = {
    key: string;
    options?: LoadOptions | undefined;
} & ({
    value: T;
    load?: undefined;
} | {
    load: (context: LoadContext<T>) => T | Promise<T>;
    value?: undefined;
});
/** A list, or what comes one by one. */
type WarmEntries = Iterable<WarmEntry> | AsyncIterable<WarmEntry>;
/** How far a warm-up has come. */
interface WarmProgress {
    /** Entries that were looked at. */
    done: number;
    /** How many there are; null while nobody knows. */
    total: number | null;
    /** Those that were written, those that were there already or not kept, and those that failed. */
    warmed: number;
    skipped: number;
    failed: number;
}
interface WarmOptions extends LoadOptions {
    /** Entries at once, 1 to 1000. Default: 8. */
    concurrency?: number | undefined;
    /** Hears of each entry that is done. */
    onProgress?: ((progress: WarmProgress) => void) | undefined;
}
/** What became of a warm-up. */
interface WarmResult extends WarmProgress {
    /** Whether its signal ended it before all was done. */
    aborted: boolean;
    /** What failed; the first 1,000. */
    failures: {
        key: string;
        error: Error;
    }[];
}

/** A value with its age and lifetime, as apps hand it around. Not how it is stored. */
interface CacheEntry<T> {
    data: T;
    /** When it was written, ms since 1970. */
    timestamp: number;
    /** Seconds. */
    ttl: number;
    compressed?: boolean;
}
/** What `getEntry` answers. */
interface CachedEntry<T> {
    value: T;
    /** Who answered: Redis, a copy in this process that Redis keeps informed, or memory where there is no Redis. */
    source: Source;
    /** What is left of its lifetime, grace included; null when it never expires. */
    ttlMs: number | null;
    /** How long ago it was written. */
    ageMs: number;
    /** Whether its time is over, and only grace keeps it. */
    stale: boolean;
}
/** What `getInfo` answers. */
interface CacheInfo {
    redis: {
        available: boolean;
        stats?: RedisHealth['details'];
    };
    /** The memory store: entries of all families, and their bytes. */
    memory: {
        entries: number;
        size: number;
    };
    stats: CacheStats;
}
/**
 * The cache manager. No call rejects because Redis is down: a read is then a miss, a write answers
 * false, unless memory serves; a call with `requireRedis` rejects with `E_UNAVAILABLE`. Wrong arguments reject
 * with `E_INVALID` and the path of the argument; after a shutdown every call rejects with `E_CLOSED`; a foreign
 * value of another Redis type under one of our names, or one that is no JSON, rejects with `E_DATA`; with
 * `journalSync: 'always'` a write that the journal's disk does not take rejects with `E_FULL`.
 */
declare class CacheManager {
    private readonly client;
    /** The texts of the family that was asked for last. */
    private table;
    private tableIn;
    private tableFamily;
    private own;
    private ownIn;
    /** The value of a key, or null for a miss. A cached null is null too; `exists` tells them apart. */
    get<T = unknown>(key: string, options?: CacheOptions): Promise<T | null>;
    /** The same with who answered and how long the value lives, or null for a miss. */
    getEntry<T = unknown>(key: string, options?: CacheOptions): Promise<CachedEntry<T> | null>;
    /**
     * Stores a value that its serializer can hold; null is one, undefined is not (`E_INVALID`). True when Redis or
     * memory has it. Default lifetime: 3600 s.
     */
    set<T>(key: string, value: T, options?: CacheOptions): Promise<boolean>;
    /** Removes a key from Redis and memory. True when there was something. */
    delete(key: string, options?: CacheOptions): Promise<boolean>;
    /**
     * Makes a key stale: it is a miss from now on, and still serves where grace takes old values. True when there was
     * something.
     */
    expire(key: string, options?: CacheOptions): Promise<boolean>;
    /** Whether the key holds a fresh value, null included. */
    exists(key: string, options?: CacheOptions): Promise<boolean>;
    /**
     * The value of a key, or what `factory` returns, which is then cached. Whoever asks for the same key meanwhile gets
     * the same value from the same factory call; in other processes, too, while Redis answers. null is cached;
     * undefined is returned and not cached. What the factory throws reaches every caller unchanged, unless an old value
     * may serve (`grace`). A key that is deleted or invalidated while the factory runs is not cached by it.
     */
    getOrSet<T, Old = T>(key: string, factory: (context: LoadContext<Old>) => T | Promise<T>, options?: LoadOptions): Promise<T>;
    /** The values of keys in their order, null for a miss; one trip for all. */
    getMany<T = unknown>(keys: readonly string[], options?: CacheOptions & BatchOptions): Promise<(T | null)[]>;
    /** Stores several values; one trip for all, not a transaction. Answers for each whether it was kept. */
    setMany(items: readonly CacheItem[], options?: CacheOptions & BatchOptions): Promise<boolean[]>;
    /** Removes several keys; one trip for all. Answers for each whether there was something. */
    deleteMany(keys: readonly string[], options?: CacheOptions & BatchOptions): Promise<boolean[]>;
    /**
     * The values of keys in their order, those that are missing from one call of `loader`. In all else it is as
     * `getOrSet`.
     */
    getOrSetMany<T, Old = T>(keys: readonly string[], loader: LoadMany<T, Old>, options?: LoadOptions & BatchOptions): Promise<(T | undefined)[]>;
    /** Fills the cache ahead of time. Safe to repeat: what is there and fresh is left as it is. */
    warm(entries: WarmEntries, options?: WarmOptions): Promise<WarmResult>;
    /**
     * Invalidates everything that has this tag, or one of these, however much it is: it is gone at once, for every
     * process, and loads that are under way don't bring it back. True when Redis or memory took it.
     */
    deleteByTag(tags: string | readonly string[], options?: CacheOptions): Promise<boolean>;
    /** The same, but what it covers still serves where grace takes old values. */
    expireByTag(tags: string | readonly string[], options?: CacheOptions): Promise<boolean>;
    /**
     * Removes the keys of the prefix that match: `*` is any text, `?` one character, `[ab]` one of these, a backslash
     * before a character means itself. Nothing beyond the prefix is touched. Answers how many went. Walks over all keys
     * of the server; tags and namespaces don't.
     */
    deletePattern(pattern: string, options?: CacheOptions): Promise<number>;
    /**
     * A part of the cache with keys of its own, which can be cleared at once however much is in it. Namespaces can hold
     * namespaces. `defaults` are the options of its calls.
     */
    namespace(name: string, defaults?: LoadOptions): CacheManager;
    /**
     * Removes every key of a prefix: all of `{keyPrefix}{prefix}:`. Default: `'cache'`. A namespace removes itself, with
     * all namespaces in it, at once.
     */
    clear(prefix?: string): Promise<void>;
    /** A copy of the counts: of the whole cache, or of this namespace with those in it counted for themselves. */
    getStats(): CacheStats;
    /** Sets the counts to 0: of the whole cache with its namespaces, or of this namespace alone. */
    resetStats(): void;
    /** What Redis and memory hold, with the counts. Does not reject because Redis is down. */
    getInfo(): Promise<CacheInfo>;
    /** Refuses every later call of this manager with `E_CLOSED`, until the system is initialised anew. Nothing is removed. */
    shutdown(): Promise<void>;
    /** The number under which the native side counts; an instance that was opened afresh counts anew. */
    private owner;
    private countedAs;
    private remove;
}

/** What gives an answer in chunks. */
type StreamSource<Chunk> = (context: {
    readonly signal: AbortSignal;
}) => Chunks<Chunk> | Promise<Chunks<Chunk>>;
type Chunks<Chunk> = AsyncIterable<Chunk> | Iterable<Chunk> | ReadableStream<Chunk>;

/** Milliseconds before each chunk, the same for all or by chunk. */
type Pace<Chunk> = number | ((chunk: Chunk, index: number) => number);

/** Options of `cacheStream`. */
interface StreamOptions<Chunk = unknown> {
    /** Seconds, or a text such as `'7d'`. Default: 86400. */
    ttl?: Duration | undefined;
    /** What else decides the answer. Default: none. */
    parameters?: AIParameters | undefined;
    /** The headers among the parameters that decide the answer. Default: none. */
    headers?: readonly string[] | undefined;
    /** Whose answer it is. Default: everybody's. */
    scope?: AIScope;
    /** Names by which answers can be invalidated together. */
    tags?: readonly string[] | undefined;
    /** ms before each chunk of a cached answer, or what tells them. Default: no delay at all. */
    pace?: Pace<Chunk> | undefined;
    /** Whether chunks that came without an error are a whole answer. Default: what their finish reason says. */
    isComplete?: ((chunks: readonly Chunk[]) => boolean) | undefined;
    /** Whether the model goes on when nobody listens any more, so that its answer is cached. Default: false. */
    continueUnheard?: boolean | undefined;
    /** After so many ms without a chunk the model is told to stop, and its listeners get `E_TIMEOUT`. Default: never. */
    idleTimeoutMs?: number | undefined;
    /** The same after so many ms in all. Default: never. */
    hardTimeoutMs?: number | undefined;
    /** Ends this caller's stream; the others go on. */
    signal?: AbortSignal | undefined;
}

/** A stream of chunks, from the model or from the cache. */
interface CachedStream<Chunk> extends AsyncIterable<Chunk> {
    /** Who gives it: the model, the stream of another caller, or a layer of the cache. */
    readonly source: 'model' | 'tail' | Source;
    /** The same as a web stream. Either this or the iterator, once. */
    toReadableStream(): ReadableStream<Chunk>;
}

/** A cached answer with where it came from. */
interface CachedAIResponse<T> {
    response: T;
    model: string;
    /** When it was stored, ms since 1970. */
    timestamp: number;
    /** Who answered. */
    source: Source;
    /** What is left of its lifetime; null when it never expires. */
    ttlMs: number | null;
}
/** Options of `cacheResponse`. */
interface AIResponseOptions extends AIKeyOptions {
    /** Whether the response is a whole answer. Default: unless it says of itself that it is not. */
    isComplete?: ((response: unknown) => boolean) | undefined;
}
/** Options of calls about a conversation. */
interface AIConversationOptions {
    /** Whose conversation it is: nobody else finds it under its id. Default: everybody's. */
    scope?: AIScope;
}
/** The AI cache. Like the cache, it never rejects because Redis is down. */
interface AICache {
    /**
     * Stores a model's answer. True when Redis or memory has it. One that says of itself that it failed, was aborted or
     * cut off (an Error, an `error` field, a finish reason such as `length`) is not stored: false.
     * @param prompt A text, a list of messages, or an object with them.
     * @param response Anything that JSON can hold.
     * @param ttl Seconds, or a text such as `'7d'`. Default: 86400.
     * @param parameters What else decides the answer; it is found again only with the same ones. Default: none.
     */
    cacheResponse(prompt: AIPrompt, response: unknown, model: string, ttl?: Duration, parameters?: AIParameters, options?: AIResponseOptions): Promise<boolean>;
    /** The stored answer, or null. */
    getCachedResponse<T = unknown>(prompt: AIPrompt, model: string, parameters?: AIParameters, options?: AIKeyOptions): Promise<T | null>;
    /** The stored answer with its time and who answered, or null. */
    getCachedEntry<T = unknown>(prompt: AIPrompt, model: string, parameters?: AIParameters, options?: AIKeyOptions): Promise<CachedAIResponse<T> | null>;
    /**
     * An answer as a stream of chunks. The first who asks runs `source`; whoever asks the same meanwhile, in any
     * process, gets the same chunks as they come; whoever asks later gets them from the cache. Kept only when it ended
     * well. What the source throws reaches everybody who listens, after the chunks before it.
     */
    cacheStream<Chunk>(prompt: AIPrompt, model: string, source: StreamSource<Chunk>, options?: StreamOptions<Chunk>): Promise<CachedStream<Chunk>>;
    /** Stores the vector of a text, as 32-bit floats. Default lifetime: 604800 s, a week. */
    cacheEmbedding(text: string, model: string, vector: Vector, ttl?: Duration, parameters?: AIParameters, options?: AIKeyOptions): Promise<boolean>;
    /** The same for many texts, in one trip. Their vectors have the same length. Answers for each whether it was kept. */
    cacheEmbeddings(entries: readonly EmbeddingEntry[], model: string, ttl?: Duration, parameters?: AIParameters, options?: AIKeyOptions): Promise<boolean[]>;
    /** The stored vector of a text, or null, also for one that can't be read. */
    getCachedEmbedding(text: string, model: string, parameters?: AIParameters, options?: AIKeyOptions): Promise<Float32Array | null>;
    /** The stored vectors of texts in their order, null where there is none that can be read; one trip for all. */
    getCachedEmbeddings(texts: readonly string[], model: string, parameters?: AIParameters, options?: EmbeddingOptions): Promise<(Float32Array | null)[]>;
    /**
     * Stores a conversation under its id. True when Redis or memory has it.
     * @param context Anything that JSON can hold.
     * @param ttl Seconds, or a text such as `'7d'`. Default: 86400.
     */
    cacheConversation(conversationId: string, context: unknown, ttl?: Duration, options?: AIConversationOptions): Promise<boolean>;
    /** The stored conversation, or null. */
    getCachedConversation<T = unknown>(conversationId: string, options?: AIConversationOptions): Promise<T | null>;
    /** Removes all answers, vectors and conversations: every key under `ai:`. In a namespace: all of it, at once. */
    clearCache(): Promise<void>;
    /**
     * An AI cache with keys of its own, such as a tenant's, which can be cleared at once however much is in it.
     * Namespaces can hold namespaces.
     */
    namespace(name: string): AICache;
}

/** The cache of the shared instance. */
declare const cacheManager: CacheManager;
/** Cached answers of models, and conversations, of the shared instance. */
declare const AICacheManager: AICacheManager;
/** The AI cache of an instance. */
type AICacheManager = AICache;
/** Removes everything of the cache family; sessions, counters and AI answers stay. */
declare const clearAllCache: () => Promise<void>;
/** A copy of the cache's counts. */
declare const getCacheStats: () => CacheStats;
/** What Redis and memory hold, with the cache's counts. */
declare const getCacheInfo: () => Promise<CacheInfo>;

/** Options of `memoize`. */
interface MemoizeOptions<Args extends readonly unknown[]> {
    /**
     * The part of the key that the arguments decide; the whole is `memoized:{generated}`. Default: the
     * function's name and a hash of its text, and the arguments as canonical JSON. Needed where functions
     * of the same text differ by what they close over.
     */
    keyGenerator?: ((...args: Args) => string) | undefined;
    /** Lifetime: seconds or `'1h'`. Default, also for 0: none. */
    ttl?: Duration | undefined;
}
/** Results that survive an outage. */
interface MemoizingCache {
    /**
     * The function with a memory. Calls with the same key that run at the same time run it once; what it
     * throws reaches them unchanged and is not kept; undefined is returned and not kept.
     */
    memoize<Args extends unknown[], Result>(fn: (...args: Args) => Result, options?: MemoizeOptions<Args>): (...args: Args) => Promise<Awaited<Result>>;
    /** The value of a key of the fallback manager, or what `factory` returns, which is then stored. */
    getOrSet<T>(key: string, factory: () => T | Promise<T>, ttlSeconds?: Duration): Promise<T>;
}

/** The fallback manager of the shared instance. */
declare const fallbackManager: FallbackManager;
/** Results of functions that survive an outage, of the shared instance. */
declare const FallbackCache: FallbackCache;
/** The fallback cache of an instance. */
type FallbackCache = MemoizingCache;
/** How memory and the journal stand. */
declare const getFallbackStats: () => FallbackStats;
/** Replays what was written while Redis was away. Resolves when that is done or has failed. */
declare const syncWithRedis: () => Promise<void>;
/** Forgets the fallback manager's values in memory. What Redis holds stays. */
declare const clearFallback: () => void;

/** Who decided: Redis, this process because memory is all there is or Redis does not answer, or this process because it knows that Redis would refuse. */
type RateLimitSource = 'redis' | 'local' | 'deny-cache';
/**
 * Why a call was refused: the limit is used up; the cost is larger than a limit, so that it can never fit; or nobody can
 * tell, since Redis does not answer and the limiter is closed then.
 */
type RateLimitReason = 'limited' | 'too-large' | 'unavailable';
/** How one limit stands. */
interface RateLimitState {
    name: string;
    /** How much of it there is; of a process that is alone, its share. */
    limit: number;
    remaining: number;
    /** ms until all of it is free again; 0: it is. */
    resetMs: number;
    /** ms until more of it is free than now; 0: all is. */
    nextMs: number;
    /** ms until what was asked for fits; 0: it does. `Infinity`: never. */
    retryAfterMs: number;
}
/** What `check` answers. */
interface RateLimitResult {
    /** Whether the call may go on. A refused one was charged nothing. */
    success: boolean;
    /** Why not; null when it may. */
    reason: RateLimitReason | null;
    source: RateLimitSource;
    /** Of the limit that is closest to its end. */
    limit: number;
    /** What is left of it. */
    remaining: number;
    /** When all of it is free again, ms since 1970 on this host's clock: to show, not to compare. */
    resetTime: number;
    /** Whole seconds until it is worth another try, rounded up; only of a refused call that can ever fit. */
    retryAfter?: number;
    /** The same in ms. */
    retryAfterMs?: number;
    /** Every limit, in the order in which they were given. */
    limits: RateLimitState[];
}

/** How a TLS connection is checked. */
interface TlsOptions {
    /** A PEM file with roots that are trusted besides the usual ones. */
    caFile?: string | undefined;
    /** The name that the certificate must carry. Default: the host. */
    serverName?: string | undefined;
}
/** What memory does while Redis doesn't answer. */
interface FallbackSettings {
    /** Whether memory answers then. Default: true (`REDIS_FALLBACK_ENABLED`). */
    enabled?: boolean | undefined;
    /** Bound of the memory store in MB of 1,048,576 bytes. Default: 100 (`REDIS_FALLBACK_MAX_MEMORY`). */
    maxMemoryMb?: number | undefined;
    /** Whether the journal is replayed by itself when Redis is back. Default: true. */
    autoSync?: boolean | undefined;
    /** How a replayed write meets what Redis holds by then. Default: `'newest'`. */
    syncMode?: 'newest' | 'overwrite' | 'if-absent' | 'off' | undefined;
    /**
     * What becomes of a journalled set that finds its key absent where nobody can tell whether it was deleted
     * meanwhile: dropped and counted as a conflict, or written. Default: `'drop'`.
     */
    uncertain?: 'drop' | 'write' | undefined;
    /** How long a value that was read before the outage answers in it: seconds, or a text. Default: 3600. */
    maxStaleDegraded?: number | string | undefined;
    /**
     * What becomes of raw commands that change a counter, hash, set or list in a way that merges (`INCR`, `DECR`,
     * `INCRBY`, `DECRBY`, `HSET`, `HDEL`, `SADD`, `SREM`, `LPUSH`, `RPUSH`). `'merge'`: each has an id and is carried out
     * once, and in an outage memory answers and the journal keeps them. Default: `'refuse'`, which leaves all raw
     * commands to Redis alone.
     */
    rawChanges?: 'refuse' | 'merge' | undefined;
    /** Bound of the journal in MB of 1,048,576 bytes. Default: 256 (`REDIS_FALLBACK_JOURNAL_MAX_MEMORY`). */
    maxJournalMb?: number | undefined;
    /** A directory in which the journal survives the process. Default: none (`REDIS_FALLBACK_JOURNAL_PATH`). */
    journalPath?: string | undefined;
    /**
     * When a journalled write is safe on disk: before it is acknowledged, within a second, or whenever the
     * system likes. Default: `'everysec'` (`REDIS_FALLBACK_JOURNAL_SYNC`).
     */
    journalSync?: 'always' | 'everysec' | 'no' | undefined;
}
/** When calls fail so often that memory had better answer: so many, and so large a part of all. */
interface BreakerSettings {
    /** Default: 5. */
    failures?: number | undefined;
    /** Default: 50. */
    percent?: number | undefined;
    /** Default: 10000. */
    windowMs?: number | undefined;
}
/**
 * Settings of `createHoldfast`. What is left out comes from the environment, then from the defaults.
 * A server that is named here is taken whole: no password or database of the environment goes with it.
 */
interface HoldfastOptions {
    /** `redis://`, `rediss://`, or `memory:` for memory for good. Instead of `host` and `port`. Default: `REDIS_URL`. */
    url?: string | URL | undefined;
    /** Default: localhost (`REDIS_HOST`). */
    host?: string | undefined;
    /** Default: 6379 (`REDIS_PORT`). */
    port?: number | undefined;
    /** ACL user. Default: the server's default user (`REDIS_USERNAME`). */
    username?: string | undefined;
    /** Default: none (`REDIS_PASSWORD`). */
    password?: string | undefined;
    /** Database number. Default: 0 (`REDIS_DB`). */
    db?: number | undefined;
    /** Default: false, or what the URL says (`REDIS_TLS`). */
    tls?: boolean | TlsOptions | undefined;
    /** In front of every key. Default: `ai-chatbot:` (`REDIS_KEY_PREFIX`). */
    keyPrefix?: string | undefined;
    /** Deadline of a dial. Default: 10000 (`REDIS_CONNECTION_TIMEOUT`). */
    connectTimeoutMs?: number | undefined;
    /** Deadline of each sending of a call. Default: 5000 (`REDIS_COMMAND_TIMEOUT`). */
    commandTimeoutMs?: number | undefined;
    /** How long an owed reply may stay away with no byte moving before the server is probed. Default: 500. */
    silenceMs?: number | undefined;
    /** Retries of an idempotent call on a broken connection. Default: 3 (`REDIS_MAX_RETRIES`). */
    maxRetries?: number | undefined;
    /** Connections, 1 to 64, opened on demand. Default: 5 (`REDIS_POOL_SIZE`). */
    poolSize?: number | undefined;
    /**
     * How many processes of this app there are: while one is alone, it lets through its share of a rate limit. Default: 1,
     * with a warning when it first matters (`HOLDFAST_INSTANCES`).
     */
    instances?: number | undefined;
    /** What memory does while Redis doesn't answer. */
    fallback?: FallbackSettings | undefined;
    /** Operations that may be on their way at once; more are refused with `E_OVERLOADED`. Default: 50000 (`REDIS_MAX_IN_FLIGHT`). */
    maxInFlight?: number | undefined;
    /** Bytes that they may hold together. Default: 256 MB (`REDIS_MAX_IN_FLIGHT_BYTES`). */
    maxInFlightBytes?: number | undefined;
    /** When failing calls make the server count as away. `false`: never. */
    breaker?: boolean | BreakerSettings | undefined;
    /** Whether live writes compare stamps too, for servers where `CLIENT KILL` is denied. Default: false (`REDIS_FENCED_WRITES`). */
    fencedWrites?: boolean | undefined;
    /**
     * Whether copies in this process answer while Redis is well, and how they learn of changes: `'tracking'` (the
     * server tells), `'bus'` (processes tell each other), `'auto'` (the first where it is to be had), `'off'`.
     * Default: `'auto'` (`REDIS_NEAR_CACHE`).
     */
    nearCache?: 'auto' | 'tracking' | 'bus' | 'off' | boolean | undefined;
    /** How long such a copy answers at most: seconds, or a text. Default: 600. */
    nearMaxAge?: number | string | undefined;
    /** The largest value that is taken. Default: 64 MB. */
    maxValueBytes?: number | undefined;
    /** Lifetime of a cache entry that names none: seconds, or a text such as `'1h'`. Default: 3600. */
    defaultTtl?: number | string | undefined;
    /** How long a delete leaves its mark on the server: seconds, or a text. Default: 600. */
    tombstoneTtl?: number | string | undefined;
    /** Takes the place of `process.env`. */
    env?: Readonly<Record<string, string | undefined>> | undefined;
    /** Lets tests provoke failures. Default: false. */
    testHooks?: boolean | undefined;
}

/** A platform whose own header says who asks, and which overwrites what clients send of it. */
type AddressPreset = 'vercel' | 'cloudflare' | 'nginx' | 'none';
/** How the client's address is found. */
interface AddressOptions {
    /**
     * `'vercel'`: `x-vercel-forwarded-for`, `x-real-ip`. `'cloudflare'`: `cf-connecting-ip`. `'nginx'`: `x-real-ip`, as
     * `proxy_set_header X-Real-IP $remote_addr` sets it. `'none'`: no header is believed, only `request.ip`.
     */
    preset?: AddressPreset | undefined;
    /** How many proxies stand before the app: the client is so many entries from the right. Default: 1. */
    trustedHops?: number | undefined;
    /** Addresses and CIDRs of proxies: the client is the first from the right that is none of them. */
    trustedProxies?: readonly string[] | undefined;
    /** IPv6 clients are told apart by so many bits: a household has a /64 at least. Default: 64; 32 to 128. */
    ipv6Prefix?: number | undefined;
    /**
     * What becomes of a request of which nobody says where it comes from: all of them share one count, are refused (400), or
     * are let through uncounted. Default: `'shared'`, with a warning.
     */
    missing?: 'shared' | 'reject' | 'allow' | undefined;
}
/** What is read of a request. */
interface AddressedRequest {
    readonly headers: {
        get(name: string): string | null;
    };
    readonly ip?: string | undefined;
}

/** How a limit counts. See docs/rate-limits.md for what each promises. */
type RateLimitAlgorithm = 'sliding-window' | 'token-bucket' | 'fixed-window' | 'concurrency';
/**
 * What is answered when Redis is configured and does not answer: `'local'`, what this process knows and counts, up to its
 * share of the limit; `'open'`, yes; `'closed'`, that nobody can tell (503, never 429).
 */
type RateLimitFailureMode = 'local' | 'open' | 'closed';
/** One of the limits that decide together. */
interface RateLimitRule {
    /** Printable ASCII; it stands in headers. */
    name: string;
    /** How much may be taken. */
    limit: number;
    /** In which time: seconds, or `'90s'`, `'5m'`, `'1h'`, `'7d'`. Of slots: how long one is held that nobody renews; default 30 s. */
    window?: Duration | undefined;
    /** What each call is charged here, whatever it costs elsewhere. Default: what the call says. */
    cost?: number | undefined;
    /** Default: the limiter's. */
    algorithm?: RateLimitAlgorithm | undefined;
    /** Default: the limiter's. */
    onUnavailable?: RateLimitFailureMode | undefined;
}
/** Options of a limiter. */
interface LimiterOptions {
    /** Under which its counts are kept: limiters of the same name share them. Default: made of its limits. */
    name?: string | undefined;
    /** The limits, all of which must have room. Or `maxRequests` and `windowMs` for one. */
    limits?: readonly RateLimitRule[] | undefined;
    /** How much may be taken in `windowMs`. Default: 100 (`RATE_LIMIT_MAX`). */
    maxRequests?: number | undefined;
    /** Default: 900000 (`RATE_LIMIT_WINDOW`). */
    windowMs?: number | undefined;
    /** Default: `'sliding-window'`. */
    algorithm?: RateLimitAlgorithm | undefined;
    /** Default: `'local'`. */
    onUnavailable?: RateLimitFailureMode | undefined;
    /** Whether refusals are remembered here, so that a client who is refused costs Redis nothing. Default: true. */
    denyCache?: boolean | undefined;
}

/** Which headers a response carries. */
interface HeaderOptions {
    /** `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers. Default: true. */
    standard?: boolean | undefined;
    /** `X-RateLimit-Limit`, `-Remaining`, `-Reset`, `-Backend`. Default: true. */
    legacy?: boolean | undefined;
    /** How `X-RateLimit-Reset` says when: an ISO date, or seconds since 1970. Default: `'iso'`. */
    legacyReset?: 'iso' | 'epoch' | undefined;
    /** `Retry-After` of a refusal: whole seconds, rounded up. Default: true. */
    retryAfter?: boolean | undefined;
    /** A hash of the key as `pk`, so that clients can tell counts apart. Default: false. */
    partitionKey?: boolean | undefined;
}

/** Options of `reserve`. */
interface ReserveOptions {
    /** What it will probably come to. Default: 1. */
    estimate?: RateLimitCost | undefined;
    /** After so many ms without renewal it comes back. Default: the window of the limiter's slots, or 30000; at least 1000. */
    leaseMs?: number | undefined;
    /** For how long it is renewed at most, ms: what hangs does not hold it for ever. Default: 600000. */
    maxHoldMs?: number | undefined;
}
/** What `reserve` answers: a result, and what is held if it is a success. */
declare class Reservation implements RateLimitResult {
    #private;
    /** By which any process can settle it; null: it was refused, and there is nothing to settle. */
    readonly id: string | null;
    readonly success: boolean;
    readonly reason: RateLimitReason | null;
    readonly source: RateLimitSource;
    readonly limit: number;
    readonly remaining: number;
    readonly resetTime: number;
    readonly retryAfter?: number;
    readonly retryAfterMs?: number;
    readonly limits: RateLimitState[];
    /** Aborted when it is held no longer though nobody settled it: nobody renewed it in time, or it was held for too long. */
    get signal(): AbortSignal;
    /** Counts what it came to instead of the estimate, also after it was lost. Once: again it answers what it answered; after a release, false. */
    commit(actual: RateLimitCost): Promise<boolean>;
    /** Counts nothing. After a commit it does nothing and answers false. */
    release(): Promise<boolean>;
    /** The same, for `await using`: what was not committed is released. */
    [Symbol.asyncDispose](): Promise<void>;
}

/** What a call costs: so much at every limit, or so much at those that are named and 1 at the others. */
type RateLimitCost = number | Readonly<Record<string, number>>;
/** Options of `check`. */
interface CheckOptions {
    /** A whole number; 0 only looks. Default: 1. */
    cost?: RateLimitCost | undefined;
}
declare class RateLimiter {
    private readonly connection;
    readonly operation: string;
    private readonly description;
    private readonly checking;
    private seated;
    private known;
    /** Under which its counts are kept. */
    get name(): string;
    /**
     * Charges a key at every limit, or at none: what is refused costs nothing. Never rejects because Redis does not answer:
     * `source` and `reason` say who decided, and why.
     */
    check(key: string, options?: CheckOptions): Promise<RateLimitResult>;
    /** How a key stands. Charges nothing. */
    status(key: string): Promise<RateLimitResult>;
    /**
     * Charges an estimate, until it is known what it came to: `commit` counts that instead, `release` nothing. Also takes a
     * slot of every limit that is `'concurrency'`. What is neither committed nor released comes back when this process ends
     * or lets go of it.
     */
    reserve(key: string, options?: ReserveOptions): Promise<Reservation>;
    /** Counts what a reservation came to; from any process, and once. False: it was settled before. */
    commit(key: string, id: string, actual: RateLimitCost): Promise<boolean>;
    /** Gives back what a reservation holds. False: there was nothing left to give back. */
    release(key: string, id: string): Promise<boolean>;
    /** Gives back what was taken last. */
    refund(key: string, cost?: RateLimitCost): Promise<void>;
    /** Forgets what a key was charged. */
    reset(key: string): Promise<void>;
    /** Decides without asking, where this process can: null where it can't. */
    private spend;
    private readonly shape;
    private ask;
    /** The number under which the native side knows it. */
    private number;
}

/** What is read of a request: a web `Request`, a `NextRequest`, or what looks like one. */
interface LimitedRequest extends AddressedRequest {
    readonly url?: string | undefined;
}
/** Options of `createRateLimiter` and `rateLimit`. */
interface RateLimitOptions<Incoming extends LimitedRequest = LimitedRequest> extends LimiterOptions {
    /** Whom a request is counted for; of whom it says nothing, the client's address counts. Default: the client's address. */
    keyGenerator?: ((request: Incoming) => string | null | undefined | Promise<string | null | undefined>) | undefined;
    /** What a request costs. Default: 1. */
    cost?: RateLimitCost | ((request: Incoming) => RateLimitCost | Promise<RateLimitCost>) | undefined;
    /** The text of a refusal. */
    message?: string | undefined;
    /** How the client's address is found. Default: one trusted proxy. */
    address?: AddressOptions | undefined;
    /** Which headers responses carry; false: none. Default: all. */
    headers?: HeaderOptions | boolean | undefined;
    /** Whether a refusal's body is problem+json (RFC 9457). Default: `'accept'`, when the client asks for it. */
    problem?: boolean | 'accept' | undefined;
    /** In `wrap`: what succeeded (a status below 400) is given back. Default: false. */
    skipSuccessfulRequests?: boolean | undefined;
    /** In `wrap`: what failed is given back. Default: false. */
    skipFailedRequests?: boolean | undefined;
}
/** A handler of a route. */
type RouteHandler<Incoming, Rest extends unknown[]> = (request: Incoming, ...rest: Rest) => Response | Promise<Response>;
/** A limiter for routes: called with a request it answers a Response. Its other calls take a key. */
interface RouteLimiter<Incoming extends LimitedRequest = LimitedRequest> extends Pick<RateLimiter, 'check' | 'status' | 'reserve' | 'commit' | 'release' | 'refund' | 'reset'> {
    /** 200 with the headers when the request may go on; else 429, or 503, with a body that says why. */
    (request: Incoming): Promise<Response>;
    /** The result of a request, for whoever makes his own response. */
    consume(request: Incoming): Promise<RateLimitResult>;
    /** A handler that is called only when the limit allows, and whose response carries the headers. */
    wrap<Own extends Incoming, Rest extends unknown[]>(handler: RouteHandler<Own, Rest>): RouteHandler<Own, Rest>;
    /** The headers of a result. */
    headers(result: RateLimitResult, key?: string): Record<string, string>;
    /** The Response of a result: as calling the limiter answers it. */
    respond(result: RateLimitResult, request?: Incoming, key?: string): Response;
    /** Under which its counts are kept. */
    readonly limiterName: string;
}

/** The limiters that are ready to use. */
interface RateLimiters {
    /** 30 in 5 minutes. */
    readonly ai: RouteLimiter;
    /** 100 in 15 minutes. */
    readonly api: RouteLimiter;
    /** 5 in 15 minutes. */
    readonly auth: RouteLimiter;
    /** 10 in an hour. */
    readonly upload: RouteLimiter;
    /** 1 in a minute. */
    readonly strict: RouteLimiter;
    /** 20 in a minute. */
    readonly chat: RouteLimiter;
    /** 30 in a minute. */
    readonly search: RouteLimiter;
}
/** What a key was charged. */
interface RateLimitEntry {
    /** What was taken and counts still. */
    count: number;
    /** When all of it is free again, ms since 1970. */
    resetTime: number;
}
/** What `getRateLimitStats` answers. */
interface RateLimitStats extends RateLimitEntry {
    remaining: number;
    backend: 'redis' | 'memory';
}

/** The limiters that are ready to use. Each is called with a request, or asked for a key. */
declare const rateLimiters: RateLimiters;
/** Limits a request; see `RateLimitOptions`. 200 with the headers, 429, or 503. */
declare const rateLimit: <Incoming extends LimitedRequest>(request: Incoming, options?: RateLimitOptions<Incoming> | undefined) => Promise<Response>;
/** Makes a limiter: for routes, and for anything else that has a key. */
declare const createRateLimiter: <Incoming extends LimitedRequest = LimitedRequest>(options: RateLimitOptions<Incoming>) => RouteLimiter<Incoming>;
/** Limits a request by its path: `/api/auth`, `/api/ai`, `/api/upload`, `/api/admin`, other `/api`. */
declare const applyRateLimit: (request: LimitedRequest) => Promise<Response>;
/** Who decides now. */
declare const getRateLimitBackend: () => "redis" | "memory";
/** How a key stands, by default at the default limiter; null: nothing counts. */
declare const getRateLimitStats: (key: string, limiter?: Pick<RouteLimiter, "status">) => Promise<RateLimitStats | null>;

/** Sessions: made, read, changed and ended. */
declare const sessionManager: SessionManager;
/** Sessions of guests. */
declare const GuestSessionManager: GuestSessions;
/** Makes a session manager with options of its own. */
declare const createSessionManager: (options: SessionManagerOptions) => SessionManager;
/** Makes a guest's session. Resolves to its id. */
declare const createGuestSession: (data?: SessionFields, ttl?: number) => Promise<string>;
/** A guest's session by its id; null: there is none. */
declare const getGuestSession: (sessionId: string) => Promise<SessionData | null>;
/** How many sessions there are. */
declare const getSessionStats: () => Promise<SessionStats>;

/** A user's status. */
type PresenceStatus = 'online' | 'offline' | 'away';
/** What is told of an answer of a model. */
interface AIResponseEvent {
    type: 'ai_response';
    conversationId: string;
    response: unknown;
    timestamp: number;
}
/** What is told of who is typing. */
interface TypingEvent {
    type: 'typing';
    conversationId: string;
    userId: string;
    isTyping: boolean;
    timestamp: number;
}
/** What is told of who is there. */
interface PresenceEvent {
    type: 'presence';
    userId: string;
    status: PresenceStatus;
    timestamp: number;
}
/** What a user is notified of. */
interface RealTimeNotification {
    id: string;
    title: string;
    message: string;
    type: string;
    data?: unknown;
}
/** The same, as it is told. */
interface NotificationEvent extends RealTimeNotification {
    timestamp: number;
}
/** Where somebody is present. */
interface PresenceOptions {
    /** Default: `'all'`. */
    room?: string | undefined;
    /** For how long it counts if it is not said again: seconds, or `'5m'`. Default: 300. */
    ttl?: Duration | undefined;
}
/** Messages of chat apps. */
interface RealTime {
    /** Tells an answer of a model; persistent, for those who come back later. */
    broadcastAIResponse(conversationId: string, response: unknown, userId?: string): Promise<void>;
    /** Hears the answers of a conversation. */
    subscribeToAIResponses(conversationId: string, handler: MessageHandler<AIResponseEvent>): Promise<Subscription<AIResponseEvent>>;
    /** Tells whether somebody is typing. Of no use later, so that it does not wait for Redis. */
    broadcastTyping(conversationId: string, userId: string, isTyping: boolean): Promise<void>;
    /** Hears who is typing in a conversation. */
    subscribeToTyping(conversationId: string, handler: MessageHandler<TypingEvent>): Promise<Subscription<TypingEvent>>;
    /** Tells it, and notes it for `getOnlineUsers`. */
    broadcastPresence(userId: string, status: PresenceStatus, options?: PresenceOptions): Promise<void>;
    /** Hears whether a user is there. */
    subscribeToPresence(userId: string, handler: MessageHandler<PresenceEvent>): Promise<Subscription<PresenceEvent>>;
    /** Notifies a user; persistent. */
    broadcastNotification(userId: string, notification: RealTimeNotification): Promise<void>;
    /** Hears what a user is notified of. */
    subscribeToNotifications(userId: string, handler: MessageHandler<NotificationEvent>): Promise<Subscription<NotificationEvent>>;
    /** Who is there, and has not been silent for longer than said. */
    getOnlineUsers(room?: string): Promise<Present[]>;
    /**
     * Keeps a user present until the request is aborted, and then tells that they have gone. A signal alone does too, as long
     * as its request is kept: Node does not abort the signal of one that was collected.
     */
    keepPresent(userId: string, request: Abortable, options?: PresenceOptions): Promise<void>;
}

/** Options of `createEventStream`. */
interface EventStreamOptions {
    /**
     * Whether the channel's persistent messages are told from where the client has left off: the browser says so by itself
     * when it comes back (`Last-Event-ID`). Of one channel. Default: false.
     */
    persistent?: boolean | undefined;
    /** Behind which event it begins where the client says nothing. Default: with what comes. */
    from?: string | undefined;
    /** What of a message is sent, as JSON; undefined: nothing. Default: the whole message. */
    map?: ((message: PubSubMessage) => unknown) | undefined;
    /** The name of the event. Default: none, so that `onmessage` hears it. */
    event?: string | ((message: PubSubMessage) => string | undefined) | undefined;
    /** How often a comment is sent, so that nobody in between closes the connection. Default: 15 s. */
    heartbeat?: number | `${number}${'s' | 'm'}` | undefined;
    /** How long the browser waits before it comes back, ms. Default: its own. */
    retryMs?: number | undefined;
    /** How many messages wait for a slow client. Default: 256. */
    maxQueue?: number | undefined;
    /** What becomes of those that find no room. Default: `'disconnect'`: the client comes back, and goes on where it was. */
    onOverflow?: OverflowPolicy | undefined;
    /** Further headers of the response. */
    headers?: Record<string, string> | undefined;
    /** Called when the stream begins, and with what ends it. */
    onStart?: (() => void) | undefined;
    onEnd?: (() => void) | undefined;
}
/** A request, as far as it is needed. */
interface EventStreamRequest {
    readonly headers: {
        get(name: string): string | null;
    };
    readonly signal?: AbortSignal | undefined;
}

/** Messages between processes. */
declare const pubSubManager: PubSubManager;
/** What chat apps tell each other at once. */
declare const RealTimeManager: RealTime;
/** Makes a manager with options of its own. */
declare const createPubSubManager: (options?: PubSubManagerOptions) => PubSubManager;
/** Messages as server-sent events: a Response for a route handler. */
declare const createEventStream: (request: EventStreamRequest, channels: string | readonly string[], options?: EventStreamOptions) => Response;
/** Listens to a channel. */
declare const subscribe: PubSubManager['subscribe'];
/** Ends the subscriptions of a channel. */
declare const unsubscribe: (channel: string, handler?: MessageHandler<never>) => Promise<void>;
/** Publishes a message. */
declare const publish: (channel: string, data: unknown, options?: PublishOptions) => Promise<boolean>;
/** How channels stand in this process. */
declare const getChannelStats: (channel?: string) => ChannelStats[];

/**
 * An instance: a connection, a memory store and the managers over them. Instances with the same settings
 * share their connection and memory within the process. Functions are bound, so they can be taken apart.
 */
declare class Holdfast {
    /** Raw commands and the state of the connection. */
    readonly redisClient: RedisClient;
    /** The cache. */
    readonly cacheManager: CacheManager;
    /** Cached answers of models, and conversations. */
    readonly AICacheManager: AICache;
    /** Values that survive an outage. */
    readonly fallbackManager: FallbackManager;
    /** Results of functions that survive an outage. */
    readonly FallbackCache: MemoizingCache;
    /** Sessions. */
    readonly sessionManager: SessionManager;
    /** Sessions of guests. */
    readonly GuestSessionManager: GuestSessions;
    /** Messages between processes. */
    readonly pubSubManager: PubSubManager;
    /** What chat apps tell each other at once. */
    readonly RealTimeManager: RealTime;
    /** Listens to a channel; see `pubSubManager.subscribe`. */
    readonly subscribe: PubSubManager['subscribe'];
    /** The limiters that are ready to use. */
    readonly rateLimiters: RateLimiters;
    private readonly limits;
    /** Whether Redis answers now; see `redisClient.isAvailable`. */
    readonly isRedisAvailable: () => boolean;
    /** How the server is. Never rejects. */
    readonly getRedisHealth: () => Promise<RedisHealth>;
    /** Removes everything of the cache family; see `cacheManager.clear`. */
    readonly clearAllCache: () => Promise<void>;
    /** The cache's counts. */
    readonly getCacheStats: () => CacheStats;
    /** What Redis and memory hold, with the cache's counts. */
    readonly getCacheInfo: () => Promise<CacheInfo>;
    /** How memory and the journal stand. */
    readonly getFallbackStats: () => FallbackStats;
    /** Replays what was written while Redis was away. */
    readonly syncWithRedis: () => Promise<void>;
    /** Forgets the fallback manager's values in memory. */
    readonly clearFallback: () => void;
    /** Makes a session manager with options of its own. Wrong ones throw `E_INVALID` at once; nothing connects. */
    readonly createSessionManager: (options: SessionManagerOptions) => SessionManager;
    /** Makes a guest's session. Resolves to its id, which only its owner may know. */
    readonly createGuestSession: (data?: SessionFields, ttl?: number) => Promise<string>;
    /** A guest's session by its id; null: there is none. */
    readonly getGuestSession: (sessionId: string) => Promise<SessionData | null>;
    /** How many sessions there are. */
    readonly getSessionStats: () => Promise<SessionStats>;
    /** Makes a manager of messages with options of its own. Wrong ones throw `E_INVALID` at once; nothing connects. */
    readonly createPubSubManager: (options?: PubSubManagerOptions) => PubSubManager;
    /** Ends the subscriptions of a channel: all of them, or those of this handler. */
    readonly unsubscribe: (channel: string, handler?: MessageHandler<never>) => Promise<void>;
    /** Publishes a message; see `pubSubManager.publish`. */
    readonly publish: (channel: string, data: unknown, options?: PublishOptions) => Promise<boolean>;
    /** How channels stand in this process. */
    readonly getChannelStats: (channel?: string) => ChannelStats[];
    /** What comes on channels as server-sent events: a Response for a route handler, until the client goes. */
    readonly createEventStream: (request: EventStreamRequest, channels: string | readonly string[], options?: EventStreamOptions) => Response;
    /** Limits a request: 200 with the headers, 429, or 503. */
    readonly rateLimit: <Incoming extends LimitedRequest>(request: Incoming, options?: RateLimitOptions<Incoming>) => Promise<Response>;
    /** Makes a limiter: for routes, and for anything else that has a key. Nothing connects before it is asked. */
    readonly createRateLimiter: <Incoming extends LimitedRequest = LimitedRequest>(options: RateLimitOptions<Incoming>) => RouteLimiter<Incoming>;
    /** Limits a request by its path. */
    readonly applyRateLimit: (request: LimitedRequest) => Promise<Response>;
    /** Who decides now. */
    readonly getRateLimitBackend: () => "redis" | "memory";
    /** How a key stands, by default at the default limiter; null: nothing counts. */
    readonly getRateLimitStats: (key: string, limiter?: Pick<RouteLimiter, "status">) => Promise<RateLimitStats | null>;
    /**
     * Opens, and waits until it is known whether Redis answers. Never rejects over a server, only over wrong
     * options (`E_INVALID`). Again with the same options it is a no-op; with others, or after a shutdown, it
     * opens afresh.
     */
    readonly initializeRedisSystem: (options?: InitializeOptions) => Promise<InitializeResult>;
    /** Lets what is in flight finish and closes everything. Never rejects. */
    readonly shutdownRedisSystem: () => Promise<void>;
    /** How every part is. Never rejects. */
    readonly getSystemStatus: () => Promise<SystemStatus>;
    /** Adds a listener; it never holds the process open. Unknown names throw `E_INVALID`. */
    on<Name extends HoldfastEventName>(event: Name, listener: HoldfastListener<Name>): void;
    /** Removes a listener. */
    off<Name extends HoldfastEventName>(event: Name, listener: HoldfastListener<Name>): void;
    /** Lets what is in flight finish and closes; later calls get `E_CLOSED`. Again, it does nothing. */
    close(): Promise<void>;
    /** The same, for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}
/**
 * An instance of its own, beside the shared one. Settings are checked at once (`E_INVALID` names the
 * field or the variable); nothing connects before the first call.
 */
declare function createHoldfast(options?: HoldfastOptions): Holdfast;

/**
 * Opens the shared instance and waits until it is known whether Redis answers. Never rejects over a
 * server, only over wrong options or variables (`E_INVALID`) and a missing platform package
 * (`E_UNSUPPORTED`). Again with the same options it is a no-op; with others, or after a shutdown, it
 * opens afresh. Without it the first call opens.
 */
declare const initializeRedisSystem: (options?: InitializeOptions) => Promise<InitializeResult>;
/** Lets what is in flight finish and closes the shared instance. Never rejects. */
declare const shutdownRedisSystem: () => Promise<void>;
/** How every part of the shared instance is. Never rejects. */
declare const getSystemStatus: () => Promise<SystemStatus>;

export { AICacheManager, FallbackCache, GuestSessionManager, HoldfastError, RealTimeManager, applyRateLimit, cacheManager, clearAllCache, clearFallback, createEventStream, createGuestSession, createHoldfast, createPubSubManager, createRateLimiter, createSessionManager, fallbackManager, getCacheInfo, getCacheStats, getChannelStats, getFallbackStats, getGuestSession, getRateLimitBackend, getRateLimitStats, getRedisHealth, getSessionStats, getSystemStatus, initializeRedisSystem, isRedisAvailable, pubSubManager, publish, rateLimit, rateLimiters, redisClient, sessionManager, shutdownRedisSystem, subscribe, syncWithRedis, unsubscribe };
export type { AIConversationOptions, AIKeyOptions, AIParameters, AIPrompt, AIResponseEvent, AIResponseOptions, AIScope, Abortable, AbsentPart, AddressOptions, AddressPreset, AddressedRequest, BackendState, BatchOptions, BreakerSettings, CacheCounts, CacheEntry, CacheInfo, CacheItem, CacheManager, CacheOptions, CacheStats, CachedAIResponse, CachedEntry, CachedStream, ChannelStats, CheckOptions, CommandArgument, CookieOptions, CookieSource, CookieStore, CookieTarget, CustomSerializer, Duration, EmbeddingEntry, EmbeddingOptions, EventStreamOptions, EventStreamRequest, FallbackData, FallbackDataChange, FallbackDataEntry, FallbackDataRemoval, FallbackEventName, FallbackManager, FallbackOptions, FallbackSettings, FallbackStats, Gap, GuestSessions, HeaderOptions, HeaderReader, Holdfast, HoldfastErrorCode, HoldfastErrorFields, HoldfastEventName, HoldfastEvents, HoldfastListener, HoldfastOptions, InitializeOptions, InitializeResult, LimitedRequest, LimiterOptions, LoadContext, LoadMany, LoadOptions, LoadedMany, LooseFallbackData, MemoizeOptions, MessageHandler, NotificationEvent, OpenOptions, OverflowPolicy, PipelineCommand, PresenceEvent, PresenceOptions, PresenceStatus, Present, PubSubManager, PubSubManagerOptions, PubSubMessage, PubSubOptions, PublishOptions, RateLimitAlgorithm, RateLimitCost, RateLimitEntry, RateLimitFailureMode, RateLimitOptions, RateLimitReason, RateLimitResult, RateLimitRule, RateLimitSource, RateLimitState, RateLimitStats, RateLimiter, RateLimiters, RawClient, RealTime, RealTimeNotification, RedisClient, RedisConnectionState, RedisHealth, RequestSession, Reservation, ReserveOptions, RouteHandler, RouteLimiter, Serializer, SessionCookies, SessionData, SessionFields, SessionManager, SessionManagerOptions, SessionOptions, SessionOutageMode, SessionStats, SessionUpdate, StaleEntry, StreamOptions, StreamSource, Subscription, SubscriptionEvents, SubscriptionStats, SystemComponents, SystemStatus, TlsOptions, TypingEvent, Vector, WarmEntries, WarmEntry, WarmOptions, WarmProgress, WarmResult };
