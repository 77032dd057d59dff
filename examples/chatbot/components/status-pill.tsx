'use client'

// How the cache is, in the head of the page.

import { useStatus, type CacheState, type CacheStatus } from './use-status'

const words: Record<CacheState, { label: string; title: string }> = {
  checking: { label: 'Checking', title: 'Asking how the cache is' },
  redis: { label: 'Redis', title: 'Redis answers' },
  slow: { label: 'Redis is slow', title: 'Redis answers, and takes long' },
  memory: { label: 'Memory store', title: 'No Redis is configured; the embedded memory store keeps the answers' },
  away: { label: 'Redis is away', title: 'Memory answers until Redis is back' },
  down: { label: 'No cache', title: 'Redis is away, and memory may not answer' },
  unreachable: { label: 'App not reachable', title: 'The server of this page doesn’t answer' },
}

export function StatusPill() {
  const status = useStatus()
  const { label, title } = words[status.state]
  const detail = detailOf(status)
  return (
    <div className="pill" data-state={status.state} data-testid="status" role="status" title={title}>
      <span className="dot" aria-hidden="true" />
      <span>{label}</span>
      {detail !== '' && <span className="pill-detail">{detail}</span>}
    </div>
  )
}

function detailOf({ state, latency, waiting }: CacheStatus): string {
  if (waiting > 0) return `${waiting} ${waiting === 1 ? 'write waits' : 'writes wait'}`
  if (state === 'away') return 'memory answers'
  if (latency === undefined) return ''
  return latency < 10 ? `${latency.toFixed(1)} ms` : `${Math.round(latency)} ms`
}
