/** Types of hub.js; docs/hub-js.md is the manual. */

/** Payloads of the event types that come with hookhub; add your own by declaration merging. */
export interface Payloads {
  "user.created": {
    user_id: number;
    telegram_id?: number | null;
    username?: string | null;
    first_name?: string | null;
    last_name?: string | null;
    referral_code?: string | null;
    referred_by_id?: number | null;
    email?: string | null;
    auth_type?: string | null;
  };
  "payment.completed": Transaction;
  "transaction.created": Transaction;
  "ticket.created": {
    ticket_id: number;
    user_id: number;
    title: string;
    status: string;
    priority: string;
    has_media: boolean;
  };
  "ticket.status_changed": {
    ticket_id: number;
    user_id: number;
    old_status: string;
    new_status: string;
    closed_at: string | null;
  };
  "ticket.message_added": {
    ticket_id: number;
    message_id: number;
    user_id: number;
    is_from_admin: boolean;
    message_text: string;
    has_media: boolean;
    status: string;
  };
}

export interface Transaction {
  transaction_id: number;
  user_id: number;
  type: string;
  amount_kopeks: number;
  amount_rubles: number;
  payment_method: string | null;
  external_id: string | null;
  is_completed: boolean;
  description: string | null;
}

type Json = { [member: string]: any };

/** An event of the history. */
export interface HubEvent<Type extends string = string, Payload = Json> {
  type: Type;
  payload: Payload;
  /** RFC 3339, UTC. */
  timestamp: string;
  id: string;
  /** The order of commit. */
  sequence: number;
  /** Opaque: the place after this event. */
  cursor: string;
  key?: string;
  source?: string;
}

/** What is told only once, without a place in the history: `delivery.*`. */
export interface Signal<Type extends string = string> {
  type: Type;
  payload: Json;
  timestamp: string;
  ephemeral: true;
}

type Known = keyof Payloads & string;
type Matching<Pattern extends string> = Pattern extends "*"
  ? Known
  : Pattern extends `${infer Start}.*`
    ? Extract<Known, `${Start}.${string}`>
    : Extract<Known, Pattern>;

/** The events that a pattern matches: with typed payloads where the types are known. */
export type EventOf<Pattern extends string> = string extends Pattern
  ? HubEvent
  : [Matching<Pattern>] extends [never]
    ? Pattern extends `delivery.${string}`
      ? HubEvent | Signal
      : HubEvent
    : { [Type in Matching<Pattern>]: HubEvent<Type, Payloads[Type]> }[Matching<Pattern>];

export type StateName =
  | "connecting"
  | "live"
  | "lagging"
  | "gap"
  | "reconnecting"
  | "offline"
  | "stopped";

export interface State {
  name: StateName;
  /** What the connection is; null without one. */
  transport: "websocket" | "sse" | null;
  /** Failures in a row. */
  attempt: number;
  /** What the browser says. */
  network: boolean;
  /** Whether this tab holds the connection. */
  leads: boolean;
  /** When the next attempt is, in milliseconds since 1970. */
  retryAt?: number;
  /** How many events are missing since the last acknowledge(); null if unknown. */
  missed?: number | null;
  /** Of the last end: a close code; of "stopped": why. */
  code?: number | StopCode;
  reason?: string;
}

export type StopCode = "closed" | "refused" | "expired" | "revoked" | "dismissed";

export interface Gap {
  /** null: nobody knows how many. */
  missed: number | null;
  /** From where it goes on. */
  cursor: string;
}

export interface Resumed {
  /** How many events came on the way. */
  replayed: number;
}

export interface Complaint {
  type: "error";
  code: string;
  message: string;
}

/** Milliseconds; see the manual. */
export interface Timing {
  ping: number;
  pong: number;
  poke: number;
  open: number;
  first: number;
  longest: number;
  full: number;
  steady: number;
  socket: number;
  leader: number;
  tick: number;
  sleep: number;
}

interface Common {
  /** The hub's address; default: where the module came from. */
  url?: string | URL;
  /** Patterns of event types; default: every event. */
  events?: string | string[];
  /** A condition on the payload. */
  where?: Json;
  /** A cursor to begin after; default: now. */
  since?: string | null;
  /** A key of sessionStorage that keeps the cursor. */
  persist?: string;
  /** Whether tabs share a connection; default: true. */
  share?: boolean;
  /** Who this is: only tabs with the same one share. */
  identity?: string;
  transport?: "auto" | "websocket" | "sse";
  /** Makes an event of its text; default: JSON.parse. */
  parse?: (text: string) => any;
  timing?: Partial<Timing>;
  onEvent?: (event: HubEvent | Signal) => void;
  onState?: (state: State) => void;
  onGap?: (gap: Gap) => void;
  onResumed?: (resumed: Resumed) => void;
  onError?: (complaint: Complaint) => void;
}

type Ticket = string | { ticket: string };
type Maybe<T> = T | null | undefined;

export type HubOptions = Common &
  (
    | { token: string | (() => Maybe<string> | Promise<Maybe<string>>); getTicket?: undefined }
    | { getTicket: () => Maybe<Ticket> | Promise<Maybe<Ticket>>; token?: undefined }
  );

/** Why a hub has stopped (a StopCode), or that the reader of an iterator is "too_slow". */
export class HubError extends Error {
  constructor(code: string, message: string);
  readonly code: StopCode | "too_slow" | (string & {});
}

/** The live feed of a hub, followed for as long as the page wants. */
export class Hub implements AsyncIterable<HubEvent | Signal> {
  constructor(options: HubOptions);
  /** The place after the last event that was handed over. */
  readonly cursor: string | null;
  readonly state: State;
  /** The patterns that are subscribed. */
  readonly events: string[];
  /** Returns what takes the handler off again. */
  on(name: "state", handler: (state: State) => void): () => void;
  on(name: "gap", handler: (gap: Gap) => void): () => void;
  on(name: "resumed", handler: (resumed: Resumed) => void): () => void;
  on(name: "error", handler: (complaint: Complaint) => void): () => void;
  on<Pattern extends string>(
    pattern: Pattern,
    handler: (event: EventOf<Pattern>) => void,
  ): () => void;
  off(name: string, handler: (value: any) => void): void;
  /** Get these events, too, from now on; resolves when the hub has understood. */
  subscribe(...patterns: (string | string[])[]): Promise<void>;
  unsubscribe(...patterns: (string | string[])[]): Promise<void>;
  /** The page knows of the gaps so far, and has read anew what it shows. */
  acknowledge(): void;
  close(): void;
  [Symbol.asyncIterator](): AsyncIterableIterator<HubEvent | Signal>;
}
