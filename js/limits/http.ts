// Limits of routes: a web Request in, a Response out, as route handlers and middleware use them.

import type { Connection } from '../connection.js'
import { describe, invalid } from '../errors.js'
import { Addresses, type AddressOptions, type AddressedRequest } from './address.js'
import { bodyOf, headerOptions, headersOf, problemOf, statusOf, type HeaderOptions } from './headers.js'
import { RateLimiter, type RateLimitCost } from './limiter.js'
import { costsOf, type LimiterOptions } from './options.js'
import { Reservation } from './reservation.js'
import type { RateLimitResult } from './result.js'
import { warnOnce } from './warnings.js'

/** What is read of a request: a web `Request`, a `NextRequest`, or what looks like one. */
export interface LimitedRequest extends AddressedRequest {
  readonly url?: string | undefined
}

/** Options of `createRateLimiter` and `rateLimit`. */
export interface RateLimitOptions<Incoming extends LimitedRequest = LimitedRequest> extends LimiterOptions {
  /** Whom a request is counted for; of whom it says nothing, the client's address counts. Default: the client's address. */
  keyGenerator?:
    | ((request: Incoming) => string | null | undefined | Promise<string | null | undefined>)
    | undefined
  /** What a request costs. Default: 1. */
  cost?: RateLimitCost | ((request: Incoming) => RateLimitCost | Promise<RateLimitCost>) | undefined
  /** The text of a refusal. */
  message?: string | undefined
  /** How the client's address is found. Default: one trusted proxy. */
  address?: AddressOptions | undefined
  /** Which headers responses carry; false: none. Default: all. */
  headers?: HeaderOptions | boolean | undefined
  /** Whether a refusal's body is problem+json (RFC 9457). Default: `'accept'`, when the client asks for it. */
  problem?: boolean | 'accept' | undefined
  /** In `wrap`: what succeeded (a status below 400) is given back. Default: false. */
  skipSuccessfulRequests?: boolean | undefined
  /** In `wrap`: what failed is given back. Default: false. */
  skipFailedRequests?: boolean | undefined
}

/** A handler of a route. */
export type RouteHandler<Incoming, Rest extends unknown[]> = (
  request: Incoming,
  ...rest: Rest
) => Response | Promise<Response>

/** A limiter for routes: called with a request it answers a Response. Its other calls take a key. */
export interface RouteLimiter<Incoming extends LimitedRequest = LimitedRequest>
  extends Pick<RateLimiter, 'check' | 'status' | 'reserve' | 'commit' | 'release' | 'refund' | 'reset'> {
  /** 200 with the headers when the request may go on; else 429, or 503, with a body that says why. */
  (request: Incoming): Promise<Response>
  /** The result of a request, for whoever makes his own response. */
  consume(request: Incoming): Promise<RateLimitResult>
  /** A handler that is called only when the limit allows, and whose response carries the headers. */
  wrap<Own extends Incoming, Rest extends unknown[]>(handler: RouteHandler<Own, Rest>): RouteHandler<Own, Rest>
  /** The headers of a result. */
  headers(result: RateLimitResult, key?: string): Record<string, string>
  /** The Response of a result: as calling the limiter answers it. */
  respond(result: RateLimitResult, request?: Incoming, key?: string): Response
  /** Under which its counts are kept. */
  readonly limiterName: string
}

/** For whom nobody says where he comes from. */
const UNKNOWN = 'unknown'

/** Whether limits are enforced at all. */
export function isLimited(): boolean {
  return process.env['NEXT_PUBLIC_ENABLE_RATE_LIMIT'] !== 'false'
}

/** What became of a request: counted for a key, let through uncounted, or refused before it was. */
type Counted =
  | { readonly key: string; readonly result: RateLimitResult; readonly price: RateLimitCost | undefined }
  | 'uncounted'
  | 'unaddressed'

export function routeLimiter<Incoming extends LimitedRequest>(
  connection: Connection,
  options: RateLimitOptions<Incoming>,
  operation: string,
): RouteLimiter<Incoming> {
  const limiter = new RateLimiter(connection, options, operation)
  const headers = headerOptions(options.headers, operation)
  const addresses = new Addresses(options.address === undefined ? {} : options.address, warnOnce, operation)
  const { keyGenerator, cost, message, problem = 'accept', skipSuccessfulRequests, skipFailedRequests } = options
  if (keyGenerator !== undefined && typeof keyGenerator !== 'function')
    throw invalid('options.keyGenerator', `options.keyGenerator is ${describe(keyGenerator)}; allowed: a function`, operation)
  for (const [name, skip] of Object.entries({ skipSuccessfulRequests, skipFailedRequests })) {
    if (skip !== undefined && typeof skip !== 'boolean')
      throw invalid(`options.${name}`, `options.${name} is ${describe(skip)}; allowed: a boolean`, operation)
  }
  if (typeof cost !== 'function') costsOf(limiter.plan, cost, operation)
  if (message !== undefined && typeof message !== 'string')
    throw invalid('options.message', `options.message is ${describe(message)}; allowed: a text`, operation)
  if (typeof problem !== 'boolean' && problem !== 'accept')
    throw invalid('options.problem', `options.problem is ${describe(problem)}; allowed: a boolean or 'accept'`, operation)

  async function count(
    request: Incoming,
    ask = (key: string, price: RateLimitCost | undefined): Promise<RateLimitResult> => limiter.check(key, { cost: price }),
  ): Promise<Counted> {
    if (!isLimited()) return 'uncounted'
    checkRequest(request, operation)
    const key = (await keyGenerator?.(request)) ?? addresses.of(request)
    if (key === null && addresses.missing !== 'shared') return addresses.missing === 'allow' ? 'uncounted' : 'unaddressed'
    const own = key ?? UNKNOWN
    const price = typeof cost === 'function' ? await cost(request) : cost
    return { key: own, result: await ask(own, price), price }
  }

  const isHeld = limiter.plan.hasSlots || skipSuccessfulRequests === true || skipFailedRequests === true
  const reserve = (key: string, estimate: RateLimitCost | undefined): Promise<RateLimitResult> =>
    limiter.reserve(key, { estimate })
  function headersFor(result: RateLimitResult, key = ''): Record<string, string> {
    if (!Array.isArray((result as Partial<RateLimitResult> | null | undefined)?.limits))
      throw invalid('result', `result is ${describe(result)}; allowed: what check, consume, status or reserve answers`, operation)
    if (typeof key !== 'string') throw invalid('key', `key is ${describe(key)}; allowed: a text`, operation)
    return headersOf(limiter.plan, key, result, headers)
  }

  function refusal(request: Incoming | undefined, result: RateLimitResult, key: string): Response {
    const asked = problem === 'accept' && (request?.headers.get('accept') ?? '').includes('application/problem+json')
    const isProblem = problem === true || asked
    const body = isProblem ? problemOf(result, message) : bodyOf(result, message)
    const type = isProblem ? 'application/problem+json' : 'application/json'
    return new Response(JSON.stringify(body), {
      status: statusOf(result),
      headers: { 'Content-Type': type, ...headersFor(result, key) },
    })
  }

  async function limited(request: Incoming): Promise<Response> {
    const counted = await count(request)
    if (counted === 'uncounted') return new Response(null, { status: 200 })
    if (counted === 'unaddressed') return unaddressed()
    const { key, result } = counted
    return result.success ? new Response(null, { status: 200, headers: headersFor(result, key) }) : refusal(request, result, key)
  }

  return Object.assign(limited, {
    limiterName: limiter.name,
    check: limiter.check.bind(limiter),
    status: limiter.status.bind(limiter),
    reserve: limiter.reserve.bind(limiter),
    commit: limiter.commit.bind(limiter),
    release: limiter.release.bind(limiter),
    refund: limiter.refund.bind(limiter),
    reset: limiter.reset.bind(limiter),
    headers: headersFor,
    respond(result: RateLimitResult, request?: Incoming, key?: string): Response {
      const said = headersFor(result, key)
      return result.success ? new Response(null, { status: 200, headers: said }) : refusal(request, result, key ?? '')
    },
    async consume(request: Incoming): Promise<RateLimitResult> {
      const counted = await count(request)
      if (counted === 'uncounted') return unlimited(limiter)
      if (counted === 'unaddressed')
        throw invalid('request', 'the request says nothing of where it comes from, and address.missing is reject', operation)
      return counted.result
    },
    wrap<Own extends Incoming, Rest extends unknown[]>(handler: RouteHandler<Own, Rest>): RouteHandler<Own, Rest> {
      if (typeof handler !== 'function')
        throw invalid('handler', `handler is ${describe(handler)}; allowed: a function that answers a Response`, operation)
      return async (request, ...rest) => {
        const counted = await (isHeld ? count(request, reserve) : count(request))
        if (counted === 'uncounted') return await handler(request, ...rest)
        if (counted === 'unaddressed') return unaddressed()
        const { key, result, price = 1 } = counted
        if (!result.success) return refusal(request, result, key)
        const settle = async (isSkipped: boolean | undefined): Promise<void> => {
          // It gives back its own charge, whatever others were charged since.
          if (result instanceof Reservation) await (isSkipped ? result.release() : result.commit(price))
        }
        let answer: Response
        try {
          const response = await handler(request, ...rest)
          if (!isResponse(response)) throw invalid('handler', `handler answered ${describe(response)}; allowed: a Response`, operation)
          answer = withHeaders(response, headersFor(result, key))
        } catch (thrown) {
          await settle(skipFailedRequests)
          throw thrown
        }
        const isSkipped = answer.status > 0 && answer.status < 400 ? skipSuccessfulRequests : skipFailedRequests
        // A slot is in use for as long as the answer streams.
        if (limiter.plan.hasSlots && answer.body !== null && !isHead(request))
          return untilSent(answer, (request as { readonly signal?: AbortSignal }).signal, () => void settle(isSkipped).catch(ignore))
        await settle(isSkipped)
        return answer
      }
    },
  })
}

function isResponse(answer: unknown): answer is Response {
  const { status, headers } = (answer ?? {}) as Partial<Response>
  return typeof status === 'number' && typeof headers?.get === 'function'
}

/** Nobody reads the body of what is answered to it. */
function isHead(request: LimitedRequest & { readonly method?: unknown }): boolean {
  return request.method === 'HEAD'
}

/** The same response. When its body has ended, or failed, or nobody wants it any more, that is told, once. */
function untilSent(response: Response, signal: AbortSignal | undefined, tell: () => void): Response {
  let isTold = false
  const over = (): void => {
    if (isTold) return
    isTold = true
    signal?.removeEventListener('abort', over)
    tell()
  }
  // Who went while the handler was at work is told of no more.
  if (signal?.aborted) over()
  else signal?.addEventListener('abort', over)
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          over()
          controller.close()
        } catch (error) {
          over()
          controller.error(error)
        }
      },
      async cancel(reason) {
        over()
        await reader.cancel(reason)
      },
    },
    // A chunk more than is asked for: the end of what comes in one is seen though nobody reads it.
    { highWaterMark: 2 },
  )
  const { status, statusText, headers } = response
  return new Response(body, { status, statusText, headers })
}

function ignore(): void {}

/** The same response with more headers; those of a response that came from fetch can't be changed. */
function withHeaders(response: Response, more: Record<string, string>): Response {
  // An error of the network has no headers.
  if (response.status === 0) return response
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(more)) headers.set(name, value)
  const { status, statusText } = response
  return new Response(response.body, { status, statusText, headers })
}

function unaddressed(): Response {
  return Response.json({ error: 'Bad Request', message: 'The address of the client is not known.' }, { status: 400 })
}

/** What is answered where limits are switched off. */
function unlimited(limiter: RateLimiter): RateLimitResult {
  const limits = limiter.plan.definition.limits.map(({ name, limit }) => ({
    name,
    limit,
    remaining: limit,
    resetMs: 0,
    nextMs: 0,
    retryAfterMs: 0,
  }))
  const { limit = 0 } = limits[0] ?? {}
  return { success: true, reason: null, source: 'local', limit, remaining: limit, resetTime: Date.now(), limits }
}

export function noRequest(request: unknown, operation: string): Error {
  return invalid('request', `request is ${describe(request)}; allowed: a Request, or an object with headers.get()`, operation)
}

function checkRequest(request: unknown, operation: string): void {
  const headers = (request as { headers?: { get?: unknown } } | null | undefined)?.headers
  if (typeof headers?.get === 'function') return
  throw noRequest(request, operation)
}
