// Seed 000, line 209: the pub/sub manager.
import { describe, expect, it } from 'vitest'
import { pubSubManager, RealTimeManager } from '@/lib/cache/pubsub-manager';
import type { PubSubMessage } from '@/lib/cache/pubsub-manager'
import { waitFor } from '../support/wait-for'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 209, on %s', (store) => {
  onStore(store)

  it('takes patterns, keeps messages, and tells of typing and presence', async () => {
    const messages: PubSubMessage[] = []
    const statuses: string[] = []
    const typing: boolean[] = []
    const handler = (message: PubSubMessage): void => void messages.push(message)
    const presenceHandler = ({ data }: PubSubMessage<{ status: string }>): void => void statuses.push(data.status)
    const data = { text: 'hello' }
    await RealTimeManager.subscribeToTyping('conv123', ({ data: { isTyping } }) => typing.push(isTyping))

    // Advanced pub/sub
    await pubSubManager.subscribe('notifications:*', handler, { pattern: true });
    await pubSubManager.publish('notifications:user123', data, { persistent: true });

    // Real-time features
    await RealTimeManager.broadcastTyping('conv123', 'user456', true);
    await RealTimeManager.subscribeToPresence('user456', presenceHandler);

    await RealTimeManager.broadcastPresence('user456', 'away')
    await waitFor('all of them', () => messages.length + statuses.length + typing.length === 3)
    expect(messages[0]).toMatchObject({ channel: 'notifications:user123', data })
    expect(statuses).toEqual(['away'])
    expect(typing).toEqual([true])
    expect(await pubSubManager.getPersistentMessages('notifications:user123')).toMatchObject([{ data }])
    await pubSubManager.clearSubscriptions()
  })
})
