// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";

import {SystemConfig} from "../src/l1/SystemConfig.sol";
import {DeployedCluster} from "./SheafTest.sol";
import {Vm} from "./Vm.sol";

contract SystemConfigTest is DeployedCluster {
    bytes32 private constant UPDATE = keccak256("ConfigUpdate(uint256,uint8,bytes)");

    function setUp() public {
        deployCluster();
    }

    function test_knowsTheClustersContracts() public view {
        vm.assertEq(systemConfig.optimismPortal(), address(portal));
        vm.assertEq(systemConfig.l2OutputOracle(), address(oracle));
        vm.assertEq(systemConfig.inbox(), address(inbox));
        vm.assertEq(systemConfig.l1CrossDomainMessenger(), address(messenger));
        vm.assertEq(systemConfig.l1StandardBridge(), address(bridge));
        vm.assertEq(uint256(systemConfig.startBlock()), block.number);
        vm.assertEq(uint256(systemConfig.l2ChainId()), L2_CHAIN_ID);
        vm.assertEq(systemConfig.batcherHash(), bytes32(uint256(uint160(poster))));
        vm.assertEq(systemConfig.owner(), address(timelock));
        vm.assertEq(address(inbox.systemConfig()), address(systemConfig));
        vm.assertEq(address(portal.systemConfig()), address(systemConfig));
    }

    function test_deploymentSaysAllParametersAsEvents() public {
        vm.recordLogs();
        vm.prank(deployer);
        factory.deployCluster(clusterParameters(902));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 seen = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == UPDATE) seen |= 1 << uint256(logs[i].topics[2]);
        }
        vm.assertEq(seen, (1 << 0) | (1 << 1) | (1 << 2) | (1 << 16) | (1 << 17));
    }

    function testFuzz_feeScalarsArePackedAsEcotone(uint32 base, uint32 blob) public {
        base = uint32(bound(base, 0, 100_000_000));
        blob = uint32(bound(blob, 0, 100_000_000));
        vm.expectEmit(true, true, true, true, address(systemConfig));
        emit SystemConfig.ConfigUpdate(
            0,
            1,
            abi.encode(uint256(0), abi.decode(abi.encodePacked(uint8(1), new bytes(23), blob, base), (uint256)))
        );
        vm.prank(operator);
        systemConfig.setFeeScalars(base, blob);
        vm.assertEq(uint256(systemConfig.basefeeScalar()), base);
        vm.assertEq(uint256(systemConfig.blobbasefeeScalar()), blob);
    }

    function testFuzz_gasLimitHasBounds(uint64 gasLimit) public {
        vm.prank(operator);
        if (gasLimit < 21_000_000 || gasLimit > 4_000_000_000) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    SystemConfig.OutOfBounds.selector, bytes32("gasLimit"), gasLimit, 21_000_000, 4_000_000_000
                )
            );
            systemConfig.setGasLimit(gasLimit);
        } else {
            vm.expectEmit(true, true, true, true, address(systemConfig));
            emit SystemConfig.ConfigUpdate(0, 2, abi.encode(gasLimit));
            systemConfig.setGasLimit(gasLimit);
        }
    }

    function test_depositsOfAnL1BlockAlwaysFit() public view {
        vm.assertGe(systemConfig.minimumGasLimit(), portal.MAX_RESOURCE_LIMIT() + 1_000_000);
    }

    function test_scalarsHaveBounds() public {
        vm.startPrank(operator);
        vm.expectPartialRevert(SystemConfig.OutOfBounds.selector);
        systemConfig.setFeeScalars(100_000_001, 0);
        vm.expectPartialRevert(SystemConfig.OutOfBounds.selector);
        systemConfig.setFeeScalars(0, 100_000_001);
    }

    function test_operatorManagesPosters() public {
        address second = named("second poster");
        vm.expectEmit(true, true, true, true, address(systemConfig));
        emit SystemConfig.ConfigUpdate(0, 16, abi.encode(second, true));
        vm.prank(operator);
        systemConfig.setPoster(second, true);
        vm.assertTrue(inbox.isPoster(second));
        vm.prank(operator);
        systemConfig.setPoster(second, false);
        vm.assertFalse(inbox.isPoster(second));
    }

    function testFuzz_strangersChangeNothing(address stranger) public {
        vm.assume(stranger != operator && stranger != address(timelock));
        vm.assume(stranger != address(adminOf(address(systemConfig))));
        bytes memory refused = abi.encodeWithSelector(SystemConfig.NotOperator.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refused);
        systemConfig.setGasLimit(30_000_000);
        vm.expectRevert(refused);
        systemConfig.setFeeScalars(1, 1);
        vm.expectRevert(refused);
        systemConfig.setPoster(stranger, true);
        vm.expectRevert(refused);
        systemConfig.setSequencer(stranger);
        vm.expectRevert(refused);
        systemConfig.setBatcherHash(bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(OwnableUpgradeable.OwnableUnauthorizedAccount.selector, stranger));
        systemConfig.setOperator(stranger);
    }

    function test_timelockReplacesTheOperator() public {
        vm.prank(address(timelock));
        systemConfig.setOperator(address(this));
        systemConfig.setGasLimit(30_000_000);
        vm.prank(operator);
        vm.expectPartialRevert(SystemConfig.NotOperator.selector);
        systemConfig.setGasLimit(31_000_000);
    }
}
