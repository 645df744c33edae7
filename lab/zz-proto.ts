import { buildArtifacts } from "./artifacts/artifacts.ts";
import { Say } from "./say.ts";
import { bringUpNetwork, machineAddress, startDhcp } from "./network.ts";
import { Machine } from "./machine.ts";
import { run } from "./command.ts";
import http from "node:http";
import net from "node:net";
import { mkdir, copyFile, writeFile, rm } from "node:fs/promises";
const say = new Say({write: t=>process.stderr.write(t), verbose:true});
const R = "/tmp/labproto"; await rm(R,{recursive:true,force:true}); await mkdir(R+"/tftp/pxelinux.cfg",{recursive:true}); await mkdir(R+"/n0");
const a = await buildArtifacts("/work/main/.lab/cache", undefined, say);
const m = machineAddress(0);
await bringUpNetwork([m]);
const T=R+"/tftp";
await copyFile("/usr/lib/PXELINUX/pxelinux.0",T+"/pxelinux.0"); await copyFile("/usr/lib/syslinux/modules/bios/ldlinux.c32",T+"/ldlinux.c32");
await copyFile(a.kernelImage,T+"/kernel"); await copyFile(a.deployRamdisk,T+"/dr"); await copyFile(a.tenantRamdisk,T+"/tr");
const iqn="iqn.2010-10.org.openstack.baremetal:x-y";
await writeFile(T+"/pxelinux.cfg/01-"+m.mac.replaceAll(":","-"),`default deploy

label deploy
kernel ${T}/kernel
append initrd=${T}/dr selinux=0 disk=cciss/c0d0,sda,hda,vda iscsi_target_iqn=${iqn} deployment_id=7 deployment_key=KEY troubleshoot=0 quiet console=ttyS0,115200
ipappend 3


label boot
kernel ${T}/kernel
append initrd=${T}/tr root=UUID=x ro console=ttyS0,115200
`);
const d = await startDhcp(R,[m]);
const { Daemon } = await import("./daemon.ts");
const tf = await Daemon.start({name:"tftp",command:"dnsmasq",args:["--no-daemon","--conf-file=/dev/null","--port=0","--enable-tftp","--tftp-root="+T,"--listen-address=192.168.250.1","--bind-interfaces","--user=root"],logFile:R+"/tftp.log"});
const posted = new Promise<string>(res=>{ const s=http.createServer((q,r)=>{let b="";q.on("data",c=>b+=c);q.on("end",()=>{r.end();res(b);s.close()})}).listen(10000,"192.168.250.1"); });
const vm = new Machine({address:m,folder:R+"/n0",diskFile:"/dev/shm/labproto.raw",onPower:on=>say.line("power "+on)});
vm.bootDevice="pxe"; await vm.powerOn(); say.line("on");
const b = await Promise.race([posted,new Promise<string>(r=>setTimeout(()=>r("TIMEOUT"),60000))]); say.line(b);
for (const lun of [1]) { try { say.block(await run("iscsi-inq",[`iscsi://${m.ip}:3260/${iqn}/${lun}`])); say.block(await run("iscsi-readcapacity16",[`iscsi://${m.ip}:3260/${iqn}/${lun}`])); say.block(await run("iscsi-inq",["-e","-c","178",`iscsi://${m.ip}:3260/${iqn}/${lun}`])); say.block(await run("iscsi-inq",["-e","-c","176",`iscsi://${m.ip}:3260/${iqn}/${lun}`]));}catch(e){say.line(String(e))} }
const s = net.connect(10000,m.ip); s.end("hello\n"); await new Promise(r=>setTimeout(r,1500));
const s2 = net.connect(10000,m.ip); s2.end("done\n"); await new Promise(r=>setTimeout(r,3000));
say.block((await vm.console()).slice(-6000));
await vm.reset();
await vm.powerOff(); await d.stop(); await tf.stop(); await rm("/dev/shm/labproto.raw",{force:true});
