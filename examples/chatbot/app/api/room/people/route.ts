// GET: who is here, { people: [{ window, name }] }.

import { calls } from '@/lib/limits'
import { peopleHere } from '@/lib/room'
import { told } from '@/lib/told'

export const dynamic = 'force-dynamic'

export const GET = calls.wrap((_request: Request) => told(async () => Response.json({ people: await peopleHere() })))
