// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {TransparentUpgradeableProxy} from
    "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";

import {SheafOutputOracle} from "../src/l1/SheafOutputOracle.sol";
import {DeployedCluster} from "./SheafTest.sol";

contract SheafOutputOracleTest is DeployedCluster {
    function setUp() public {
        deployCluster();
    }

    function propose(bytes32 root, uint256 number) private {
        vm.prank(proposer);
        oracle.proposeL2Output(root, number, bytes32(0), 0);
    }

    function test_startsEmpty() public {
        vm.assertEq(oracle.nextOutputIndex(), 0);
        vm.assertEq(oracle.latestBlockNumber(), 0);
        vm.assertEq(oracle.nextBlockNumber(), 10);
        vm.assertEq(oracle.SUBMISSION_INTERVAL(), 10);
        vm.assertEq(oracle.L2_BLOCK_TIME(), 1);
        vm.assertEq(oracle.FINALIZATION_PERIOD_SECONDS(), PERIOD);
        vm.assertEq(oracle.PROPOSER(), proposer);
        vm.assertEq(oracle.CHALLENGER(), challenger);
        vm.assertEq(oracle.startingTimestamp(), block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.NoOutput.selector, 0, 0));
        oracle.latestOutputIndex();
    }

    function test_proposalsMoveForwardByTheInterval() public {
        propose("a", 10);
        vm.prank(proposer);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.BlockTooLow.selector, 19, 20));
        oracle.proposeL2Output("b", 19, bytes32(0), 0);
        // A proposer that was away may skip.
        propose("b", 1_234);
        vm.assertEq(oracle.nextBlockNumber(), 1_244);
        vm.assertEq(oracle.latestOutputIndex(), 1);
        vm.prank(proposer);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.BlockTooHigh.selector, uint256(1) << 64));
        oracle.proposeL2Output("c", uint256(1) << 64, bytes32(0), 0);
    }

    function test_onlyTheProposerProposes() public {
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.NotProposer.selector, address(this)));
        oracle.proposeL2Output("a", 10, bytes32(0), 0);
        vm.prank(address(timelock));
        oracle.setProposer(address(this));
        oracle.proposeL2Output("a", 10, bytes32(0), 0);
        vm.expectPartialRevert(OwnableUpgradeable.OwnableUnauthorizedAccount.selector);
        oracle.setProposer(proposer);
    }

    function test_aProposalOfADroppedL1BlockDoesNotLand() public {
        vm.setBlockhash(block.number - 1, keccak256("now"));
        vm.prank(proposer);
        vm.expectRevert(
            abi.encodeWithSelector(
                SheafOutputOracle.WrongL1Block.selector, block.number - 1, keccak256("then"), keccak256("now")
            )
        );
        oracle.proposeL2Output("a", 10, keccak256("then"), block.number - 1);
        vm.prank(proposer);
        oracle.proposeL2Output("a", 10, keccak256("now"), block.number - 1);
    }

    function testFuzz_indexAfterIsTheFirstAtOrAfter(uint16[12] memory steps, uint256 asked) public {
        uint256[] memory numbers = new uint256[](12);
        uint256 number = 0;
        for (uint256 i = 0; i < 12; ++i) {
            number += bound(steps[i], 10, 5_000);
            numbers[i] = number;
            propose(bytes32(i + 1), number);
        }
        asked = bound(asked, 0, number);
        uint256 expected = 0;
        while (numbers[expected] < asked) ++expected;
        vm.assertEq(oracle.getL2OutputIndexAfter(asked), expected);
        vm.assertEq(oracle.getL2OutputAfter(asked).outputRoot, bytes32(expected + 1));
    }

    function test_toolsReadWhyThereIsNoOutput() public {
        vm.expectRevert("L2OutputOracle: cannot get output for a block that has not been proposed");
        oracle.getL2OutputIndexAfter(1);
        vm.expectRevert("L2OutputOracle: cannot get output as no outputs have been proposed yet");
        oracle.getL2OutputIndexAfter(0);
    }

    function test_challengerDeletesUntilFinal() public {
        propose("a", 10);
        uint256 finalSince = block.timestamp + PERIOD;
        vm.warp(block.timestamp + PERIOD / 2);
        propose("b", 20);
        propose("c", 30);

        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.NotChallenger.selector, address(this)));
        oracle.deleteL2Outputs(1);
        vm.startPrank(challenger);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.NoOutput.selector, 3, 3));
        oracle.deleteL2Outputs(3);
        vm.expectEmit(true, true, true, true, address(oracle));
        emit SheafOutputOracle.OutputsDeleted(3, 1);
        oracle.deleteL2Outputs(1);
        vm.assertEq(oracle.nextOutputIndex(), 1);
        vm.assertEq(oracle.latestBlockNumber(), 10);

        vm.warp(finalSince);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.OutputFinal.selector, 0, finalSince));
        oracle.deleteL2Outputs(0);
    }

    function test_deletedOutputsAreGoneAndTheirPlacesTakenAnew() public {
        propose("a", 10);
        propose("b", 20);
        propose("c", 30);
        vm.prank(challenger);
        oracle.deleteL2Outputs(0);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.NoOutput.selector, 0, 0));
        oracle.getL2Output(0);
        vm.assertEq(oracle.nextBlockNumber(), 10);
        vm.warp(block.timestamp + 5);
        propose("d", 15);
        vm.assertEq(oracle.getL2Output(0).outputRoot, "d");
        vm.assertEq(uint256(oracle.getL2Output(0).timestamp), block.timestamp);
        vm.assertEq(uint256(oracle.getL2Output(0).l2BlockNumber), 15);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.NoOutput.selector, 1, 1));
        oracle.getL2Output(1);
        vm.assertEq(oracle.getL2OutputIndexAfter(12), 0);
    }

    /// @dev However many there are, the challenger needs one transaction of fixed cost.
    function test_deletingIsNotMoreWorkForLongerLists() public {
        for (uint256 i = 1; i <= 300; ++i) propose(bytes32(i), i * 10);
        uint256 before = gasleft();
        vm.prank(challenger);
        oracle.deleteL2Outputs(1);
        vm.assertLe(before - gasleft(), 60_000);
    }

    function test_parametersHaveBounds() public {
        SheafOutputOracle implementation = new SheafOutputOracle();
        SheafOutputOracle.Parameters memory p = clusterParameters(1).oracle;
        p.finalizationPeriodSeconds = 0;
        vm.expectRevert(
            abi.encodeWithSelector(
                SheafOutputOracle.OutOfBounds.selector, bytes32("finalizationPeriodSeconds"), 0, 1, 30 days
            )
        );
        new TransparentUpgradeableProxy(
            address(implementation),
            address(timelock),
            abi.encodeCall(SheafOutputOracle.initialize, (address(timelock), p))
        );
        p.finalizationPeriodSeconds = 1;
        p.proposer = address(0);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.ZeroAddress.selector));
        new TransparentUpgradeableProxy(
            address(implementation),
            address(timelock),
            abi.encodeCall(SheafOutputOracle.initialize, (address(timelock), p))
        );
    }
}
