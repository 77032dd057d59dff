// Who was said to be present while Redis did not answer: said again when it does.

/** Says it again: room, user, status ('' for gone), and for how long it counts, ms. */
export type SayAgain = (room: string, userId: string, status: string, ms: number) => Promise<unknown>

interface Note {
  readonly room: string
  readonly userId: string
  readonly status: string
  readonly until: number
  readonly sayAgain: SayAgain
}

/** So many are known. */
const MOST = 10_000
/** An outage begins before it is told: what was said so long before it is said again as well. */
const BEFORE_MS = 2_000

export class Notes {
  private readonly notes = new Map<string, Note & { readonly at: number }>()
  private away: number | null = null

  keep(room: string, userId: string, status: string, ms: number, sayAgain: SayAgain): void {
    const key = JSON.stringify([room, userId])
    // Those that were said last are the last.
    this.notes.delete(key)
    const now = Date.now()
    // That somebody has gone is worth saying for as long as he would have counted.
    const until = now + (status === '' ? Math.max(ms, 600_000) : ms)
    this.notes.set(key, { room, userId, status, until, sayAgain, at: now })
    if (this.notes.size > MOST) {
      const oldest = this.notes.keys().next().value
      if (oldest !== undefined) this.notes.delete(oldest)
    }
  }

  /** Redis does not answer from now on. */
  left(): void {
    this.away ??= Date.now() - BEFORE_MS
  }

  /** It answers again. */
  returned(): void {
    const { away } = this
    this.away = null
    if (away === null) return
    const now = Date.now()
    for (const [key, { room, userId, status, until, sayAgain, at }] of [...this.notes]) {
      if (until <= now) this.notes.delete(key)
      else if (at >= away) sayAgain(room, userId, status, until - now).catch(() => {})
    }
  }
}
