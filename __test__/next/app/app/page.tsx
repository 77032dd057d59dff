import { cacheManager } from '@/lib/cache'

const revision = 0

export const dynamic = 'force-dynamic'

export default async function Page() {
  const answer = await cacheManager.getOrSet('page', async () => ({ made: 'once' }), { ttl: 600 })
  return (
    <main>
      <p id="answer">{`made ${answer.made}`}</p>
      <p id="revision">{`revision ${revision}`}</p>
    </main>
  )
}
