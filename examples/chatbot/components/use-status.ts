'use client'

// How the cache is, asked every three seconds while the page is in view.

import { useEffect, useState } from 'react'

import type { SystemStatus } from '@/lib/cache'

const intervalMs = 3_000

export type CacheState = 'checking' | 'redis' | 'slow' | 'memory' | 'away' | 'down' | 'unreachable'

export interface CacheStatus {
  state: CacheState
  /** How long Redis takes to answer, ms. */
  latency?: number | undefined
  /** Writes that wait for Redis. */
  waiting: number
}

type HealthBody = Omit<SystemStatus, 'overall'> & { status: SystemStatus['overall'] }

export function useStatus(): CacheStatus {
  const [status, setStatus] = useState<CacheStatus>({ state: 'checking', waiting: 0 })

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let request: AbortController | undefined
    const look = async () => {
      clearTimeout(timer)
      request?.abort()
      const own = (request = new AbortController())
      const seen = await ask(own.signal)
      if (own.signal.aborted) return
      setStatus(seen)
      timer = setTimeout(look, intervalMs)
    }
    const follow = () => {
      if (document.visibilityState === 'visible') {
        void look()
      } else {
        clearTimeout(timer)
        request?.abort()
      }
    }
    follow()
    document.addEventListener('visibilitychange', follow)
    return () => {
      document.removeEventListener('visibilitychange', follow)
      clearTimeout(timer)
      request?.abort()
    }
  }, [])

  return status
}

async function ask(signal: AbortSignal): Promise<CacheStatus> {
  try {
    const response = await fetch('/api/health/redis', { signal, cache: 'no-store' })
    return read((await response.json()) as HealthBody)
  } catch {
    return { state: 'unreachable', waiting: 0 }
  }
}

function read({ status, redis, fallback }: HealthBody): CacheStatus {
  const waiting = fallback.stats.journalDepth
  if (status === 'unhealthy') return { state: 'down', waiting }
  if (redis.available) return { state: status === 'healthy' ? 'redis' : 'slow', latency: redis.status?.details.latency, waiting }
  return { state: status === 'healthy' ? 'memory' : 'away', waiting }
}
