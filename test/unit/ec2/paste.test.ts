import { expect } from 'chai';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '../../../common/errors.js';
import { choiceOfPaste, chooseAuth, parseIni } from '../../../nova-api/ec2/paste.js';
import { testRuntime } from '../../support/runtime.js';

/** A paste file in the form of 2011.3's, with the given filters in both pipelines. */
const paste = (cloud: string, admin = cloud.replace('cloudrequest', 'adminrequest')): string => `
# EC2
[composite:ec2]
use = egg:Paste#urlmap
/: ec2versions
/services/Cloud: ec2cloud
/services/Admin: ec2admin
/latest: ec2metadata

[pipeline:ec2cloud]
pipeline = ${cloud}
[pipeline:ec2admin]
pipeline =
    ${admin.split(' ').join('\n    ')}

[filter:logrequest]
paste.filter_factory = nova.api.ec2:RequestLogging.factory
[filter:ec2lockout]
paste.filter_factory = nova.api.ec2:Lockout.factory
[filter:ec2noauth]
paste.filter_factory = nova.api.ec2:NoAuth.factory
[filter:authenticate]
paste.filter_factory = nova.api.ec2:Authenticate.factory
[filter:cloudrequest]
controller = nova.api.ec2.cloud.CloudController
paste.filter_factory = nova.api.ec2:Requestify.factory
[filter:adminrequest]
controller: nova.api.ec2.admin.AdminController
paste.filter_factory : nova.api.ec2:Requestify.factory
[filter:authorizer]
paste.filter_factory = nova.api.ec2:Authorizer.factory
[filter:ec2keystoneauth]
paste.filter_factory = nova.api.ec2:EC2KeystoneAuth.factory
[app:ec2executor]
paste.app_factory = nova.api.ec2:Executor.factory
[app:other]
paste.app_factory = somewhere:else
`;
const keys = 'logrequest authenticate cloudrequest authorizer ec2executor';
const noauth = 'logrequest ec2noauth cloudrequest authorizer ec2executor';
const choose = (text: string): ReturnType<typeof choiceOfPaste> => choiceOfPaste(text, 'api-paste.ini');

describe('EC2 paste file', () => {
  it('reads the pipelines of 2011.3', () => {
    expect(choose(paste(keys))).to.include({ cloud: 'keys', admin: 'keys' });
    expect(choose(paste(noauth))).to.include({ cloud: 'noauth', admin: 'noauth', saidBy: 'api-paste.ini' });
    expect(choose(paste(noauth, 'logrequest authenticate adminrequest authorizer ec2executor'))).to.include({
      cloud: 'noauth',
      admin: 'keys',
    });
  });

  it('knows a filter by its factory, not by a name which says otherwise', () => {
    const renamed = paste(keys).replace('nova.api.ec2:Authenticate.factory', 'nova.api.ec2:NoAuth.factory');
    expect(choose(renamed).cloud).to.equal('noauth');
  });

  it('refuses what would leave the door open by mistake', () => {
    const refused: [string, RegExp][] = [
      [paste('logrequest ec2keystoneauth cloudrequest authorizer ec2executor'), /ec2keystoneauth .*unknown/],
      [paste('logrequest mystery cloudrequest authorizer ec2executor'), /mystery is unknown/],
      [paste('logrequest cloudrequest authorizer ec2executor'), /one of authenticate and ec2noauth/],
      [paste('authenticate ec2noauth cloudrequest authorizer ec2executor'), /one of authenticate and ec2noauth/],
      [paste('logrequest authenticate cloudrequest ec2executor'), /no authorizer/],
      [paste('logrequest authenticate cloudrequest authorizer other'), /must end in ec2executor/],
      ['[composite:ec2]\n/services/Cloud: nowhere\n', /no \[pipeline:nowhere\]/],
      ['', /no \[pipeline:ec2cloud\]/],
      ['[composite:ec2]\nnonsense\n', /line 2/],
    ];
    for (const [text, sentence] of refused)
      expect(() => choose(text), text.slice(0, 200)).to.throw(StartupError, sentence);
  });

  it('sees which pipelines have the lockout', () => {
    expect(choose(paste(`ec2lockout ${keys}`)).lockout).to.deep.equal({ cloud: true, admin: true });
    expect(choose(paste(`ec2lockout ${keys}`, keys)).lockout).to.deep.equal({ cloud: true, admin: false });
    expect(choose(paste(keys)).lockout).to.deep.equal({ cloud: false, admin: false });
  });

  it('reads ini files as ConfigParser does', () => {
    const ini = parseIni('[DEFAULT]\nX=1\n; c\n[a]\nKey : v = w\n  more\n\n/Path/X = y\n[a]\nk2=\n', 'f');
    expect(Object.fromEntries(ini.get('a')!)).to.deep.equal({ key: 'v = w\nmore', '/Path/X': 'y', k2: '' });
  });

  it('takes the flag first, then the file, then signatures', async () => {
    const { runtime, statePath } = testRuntime({ api_paste_config: 'nova-test-paste.ini' });
    mkdirSync(join(statePath, 'etc', 'nova'), { recursive: true });
    writeFileSync(join(statePath, 'etc', 'nova', 'nova-test-paste.ini'), paste(noauth));
    expect((await chooseAuth(runtime.files, runtime.flags)).cloud).to.equal('noauth');
    expect((await chooseAuth(runtime.files, { ...runtime.flags, ec2_auth: 'keys' })).cloud).to.equal('keys');
    const absolute = join(statePath, 'paste.ini');
    writeFileSync(absolute, paste(keys));
    expect((await chooseAuth(runtime.files, { ...runtime.flags, api_paste_config: absolute })).cloud).to.equal('keys');
  });

  it('refuses a named file which is not there, and a senseless flag', async () => {
    const { runtime, statePath } = testRuntime({ api_paste_config: '/nowhere/paste.ini' });
    const refused = async (flags: Partial<typeof runtime.flags>): Promise<string> => {
      try {
        await chooseAuth(runtime.files, { ...runtime.flags, ...flags });
        return 'accepted';
      } catch (error) {
        expect(error).to.be.instanceOf(StartupError);
        return (error as Error).message;
      }
    };
    expect(await refused({})).to.match(/--api_paste_config=\/nowhere\/paste.ini: there is no such file/);
    expect(await refused({ ec2_auth: 'open' })).to.match(/--ec2_auth=open/);
    expect(await refused({ api_paste_config: statePath })).to.match(/cannot read/);
  });
});
