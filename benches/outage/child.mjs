// The process of one contender and one outage: it asks for what is done to the server, and answers with what it saw.
import { contenderNamed } from './contenders.mjs';
import * as scenarios from './scenarios.mjs';

const { contenderId, scenario, port } = JSON.parse(process.argv[2]);

// Without these Node would end the process at the first; all are counted, as the end that each would have been.
const unhandled = { rejections: 0, exceptions: 0 };
process.on('unhandledRejection', () => (unhandled.rejections += 1));
process.on('uncaughtException', () => (unhandled.exceptions += 1));
process.on('disconnect', () => process.exit());

const client = await contenderNamed(contenderId).open({ port });
const result = await scenarios[scenario](client, server);
process.send({ result: { ...result, unhandled } }, () => process.exit());

function server(deed) {
  return new Promise((resolve) => {
    process.once('message', resolve);
    process.send({ deed });
  });
}
