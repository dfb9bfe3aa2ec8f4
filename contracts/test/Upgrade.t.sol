// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {
    ITransparentUpgradeableProxy,
    TransparentUpgradeableProxy
} from "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";
import {ProxyAdmin} from "@openzeppelin/contracts/proxy/transparent/ProxyAdmin.sol";

import {ClusterFactory} from "../src/l1/ClusterFactory.sol";
import {ClusterRegistry} from "../src/l1/ClusterRegistry.sol";
import {Inbox} from "../src/l1/Inbox.sol";
import {SheafPortal} from "../src/l1/SheafPortal.sol";
import {L2ToL1MessagePasser} from "../src/l2/L2ToL1MessagePasser.sol";
import {AddressAlias} from "../src/universal/AddressAlias.sol";
import {DeployedCluster} from "./SheafTest.sol";
import {Vm} from "./Vm.sol";

contract PortalNext is SheafPortal {
    function next() external pure returns (bool) {
        return true;
    }
}

contract UpgradeTest is DeployedCluster {
    function setUp() public {
        startCluster();
    }

    function proxies() private view returns (address[7] memory) {
        return [
            address(portal),
            address(oracle),
            address(systemConfig),
            address(inbox),
            address(messenger),
            address(bridge),
            address(registry)
        ];
    }

    function test_everyProxyBelongsToTheTimelock() public view {
        for (uint256 i = 0; i < 7; ++i) vm.assertEq(adminOf(proxies()[i]).owner(), address(timelock));
    }

    function testFuzz_nobodyElseUpgrades(address caller, uint8 which) public {
        vm.assume(caller != address(timelock));
        address proxy = proxies()[which % 7];
        ProxyAdmin admin = adminOf(proxy);
        address implementation = address(new PortalNext());
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        admin.upgradeAndCall(ITransparentUpgradeableProxy(proxy), implementation, "");
        // The call of an upgrade, made to the proxy itself, is a call of the implementation, which has none.
        if (caller != address(admin)) {
            vm.prank(caller);
            (bool ok,) = proxy.call(abi.encodeCall(ITransparentUpgradeableProxy.upgradeToAndCall, (implementation, "")));
            vm.assertFalse(ok);
        }
    }

    function test_upgradeTakesTheDelayAndKeepsTheState() public {
        vm.deal(address(portal), 5 ether);
        PortalNext implementation = new PortalNext();
        ProxyAdmin admin = adminOf(address(portal));
        bytes memory call = abi.encodeCall(
            admin.upgradeAndCall, (ITransparentUpgradeableProxy(address(portal)), address(implementation), "")
        );
        vm.expectRevert();
        timelock.schedule(address(admin), 0, call, 0, 0, TIMELOCK_DELAY);
        vm.prank(council);
        vm.expectPartialRevert(TimelockController.TimelockInsufficientDelay.selector);
        timelock.schedule(address(admin), 0, call, 0, 0, TIMELOCK_DELAY - 1);
        vm.prank(council);
        timelock.schedule(address(admin), 0, call, 0, 0, TIMELOCK_DELAY);

        vm.warp(block.timestamp + TIMELOCK_DELAY - 1);
        vm.prank(council);
        vm.expectPartialRevert(TimelockController.TimelockUnexpectedOperationState.selector);
        timelock.execute(address(admin), 0, call, 0, 0);
        vm.warp(block.timestamp + 1);
        vm.prank(council);
        timelock.execute(address(admin), 0, call, 0, 0);

        vm.assertEq(implementationOf(address(portal)), address(implementation));
        vm.assertTrue(PortalNext(payable(address(portal))).next());
        vm.assertEq(portal.guardian(), guardian);
        vm.assertEq(address(portal).balance, 5 ether);
    }

    /// @dev What is upgradeable on L2 belongs to the timelock's alias: an operation deposits the upgrade.
    function test_timelockUpgradesL2ThroughTheDoor() public {
        L2ToL1MessagePasser first = new L2ToL1MessagePasser();
        L2ToL1MessagePasser second = new L2ToL1MessagePasser();
        TransparentUpgradeableProxy proxy = new TransparentUpgradeableProxy(
            address(first), AddressAlias.toL2(address(timelock)), abi.encodeCall(first.messageNonce, ())
        );
        ProxyAdmin admin = adminOf(address(proxy));
        bytes memory upgrade = abi.encodeCall(
            admin.upgradeAndCall, (ITransparentUpgradeableProxy(address(proxy)), address(second), "")
        );
        bytes memory deposit =
            abi.encodeCall(portal.depositTransaction, (address(admin), 0, 1_000_000, false, upgrade));
        vm.prank(council);
        timelock.schedule(address(portal), 0, deposit, 0, 0, TIMELOCK_DELAY);
        vm.warp(block.timestamp + TIMELOCK_DELAY);
        vm.recordLogs();
        vm.prank(council);
        timelock.execute(address(portal), 0, deposit, 0, 0);

        Vm.Log memory log = vm.getRecordedLogs()[0];
        vm.assertEq(log.emitter, address(portal));
        vm.prank(address(uint160(uint256(log.topics[1]))));
        (bool ok,) = address(uint160(uint256(log.topics[2]))).call(upgrade);
        vm.assertTrue(ok);
        vm.assertEq(implementationOf(address(proxy)), address(second));
        // The council itself has no alias of that kind.
        vm.prank(council);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, council));
        admin.upgradeAndCall(ITransparentUpgradeableProxy(address(proxy)), address(first), "");
    }

    function test_nothingCanBeInitializedAgain() public {
        bytes memory again = abi.encodeWithSelector(Initializable.InvalidInitialization.selector);
        vm.expectRevert(again);
        portal.initialize(address(this), oracle, systemConfig, address(this));
        vm.expectRevert(again);
        oracle.initialize(address(this), clusterParameters(1).oracle);
        vm.expectRevert(again);
        inbox.initialize(systemConfig, new address[](0));
        vm.expectRevert(again);
        messenger.initialize(portal);
        vm.expectRevert(again);
        bridge.initialize(messenger);
        vm.expectRevert(again);
        registry.initialize(address(this), address(this), address(this));
        // Nor the implementations behind them.
        SheafPortal implementation = SheafPortal(payable(implementationOf(address(portal))));
        vm.expectRevert(again);
        implementation.initialize(address(this), oracle, systemConfig, address(this));
        Inbox inboxImplementation = Inbox(implementationOf(address(inbox)));
        vm.expectRevert(again);
        inboxImplementation.initialize(systemConfig, new address[](0));
    }

    function test_timelockAdministersItselfAlone() public view {
        vm.assertTrue(timelock.hasRole(0, address(timelock)));
        vm.assertFalse(timelock.hasRole(0, deployer));
        vm.assertFalse(timelock.hasRole(0, address(this)));
    }

    function test_factoryTellsAddressesAhead() public {
        ClusterRegistry.Cluster memory ahead = factory.addressesOf(902);
        vm.assertEq(ahead.portal.code.length, 0);
        vm.prank(deployer);
        ClusterRegistry.Cluster memory c = factory.deployCluster(clusterParameters(902));
        vm.assertEq(c.portal, ahead.portal);
        vm.assertEq(c.inbox, ahead.inbox);
        vm.assertEq(registry.clusterCount(), 2);
        vm.assertEq(registry.cluster(902).l1StandardBridge, c.l1StandardBridge);
        vm.assertEq(registry.clusters(0, 10).length, 2);
        vm.assertEq(registry.clusters(1, 10)[0].portal, c.portal);
        vm.assertEq(registry.clusters(5, 10).length, 0);
        vm.expectRevert(abi.encodeWithSelector(ClusterRegistry.UnknownCluster.selector, uint64(903)));
        registry.cluster(903);
    }

    function test_aChainIdIsDeployedOnce() public {
        ClusterFactory.Parameters memory p = clusterParameters(L2_CHAIN_ID);
        uint256 before = gasleft();
        vm.prank(deployer);
        vm.expectRevert(abi.encodeWithSelector(ClusterRegistry.ClusterExists.selector, L2_CHAIN_ID));
        factory.deployCluster(p);
        vm.assertLe(before - gasleft(), 200_000);
        p = clusterParameters(uint64(block.chainid));
        vm.prank(deployer);
        vm.expectRevert(abi.encodeWithSelector(ClusterRegistry.BadChainId.selector, uint64(block.chainid)));
        factory.deployCluster(p);
    }

    function test_onlyDeployersDeployAndOnlyTheFactoryRegisters() public {
        ClusterFactory.Parameters memory p = clusterParameters(902);
        vm.expectRevert(abi.encodeWithSelector(ClusterFactory.NotDeployer.selector, address(this)));
        factory.deployCluster(p);
        ClusterRegistry.Cluster memory c = registry.cluster(L2_CHAIN_ID);
        c.chainId = 950;
        vm.prank(deployer);
        vm.expectRevert();
        registry.register(c);
    }
}
