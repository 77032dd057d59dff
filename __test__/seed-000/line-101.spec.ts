// Seed 000, line 101: pub/sub.
import { describe, expect, it, vi } from 'vitest'
import { pubSubManager, RealTimeManager } from '@/lib/cache'
import { waitFor } from '../support/wait-for'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 101, on %s', (store) => {
  onStore(store)

  it('tells a subscriber what is published, and broadcasts an answer', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const response = 'an answer'
    const answers: unknown[] = []
    await RealTimeManager.subscribeToAIResponses('conv123', ({ data }) => answers.push(data.response))

    // Subscribe to messages
    await pubSubManager.subscribe('chat:room1', (message) => {
      console.log('New message:', message.data);
    });

    // Publish message
    await pubSubManager.publish('chat:room1', {
      type: 'message',
      content: 'Hello world!',
      user: 'john'
    });

    // Real-time AI responses
    await RealTimeManager.broadcastAIResponse('conv123', response, 'user456');

    await waitFor('both', () => answers.length === 1 && log.mock.calls.length === 1)
    expect(log.mock.calls).toEqual([['New message:', { type: 'message', content: 'Hello world!', user: 'john' }]])
    expect(answers).toEqual(['an answer'])
    log.mockRestore()
    await pubSubManager.clearSubscriptions()
  })
})
