// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Inbox} from "../src/l1/Inbox.sol";
import {DeployedCluster} from "./SheafTest.sol";

contract InboxTest is DeployedCluster {
    function setUp() public {
        startCluster();
    }

    function blobs(uint256 count) private {
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) hashes[i] = keccak256(abi.encode("blob", i));
        vm.blobhashes(hashes);
    }

    function post(uint64 index, uint64 term) private {
        vm.prank(poster, poster);
        inbox.postCalldata(index, term, index, index, "data");
    }

    function test_blobsAreRecordedInOrder() public {
        for (uint256 count = 1; count <= 9; ++count) {
            blobs(count);
            bytes32[] memory hashes = new bytes32[](count);
            for (uint256 i = 0; i < count; ++i) hashes[i] = keccak256(abi.encode("blob", i));
            uint64 index = uint64(count - 1);
            vm.expectEmit(true, true, true, true, address(inbox));
            emit Inbox.SegmentPosted(index, 0, poster, 5, 9, 0, hashes);
            vm.prank(poster, poster);
            inbox.postBlobs(index, 0, 5, 9);
            vm.assertEq(inbox.segmentHash(index), keccak256(abi.encode(index, uint64(0), uint64(5), uint64(9), uint8(0), hashes)));
        }
        vm.assertEq(uint256(inbox.nextIndex()), 9);
    }

    function test_blobsMustBeThere() public {
        vm.prank(poster, poster);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NoBlobs.selector));
        inbox.postBlobs(0, 0, 1, 1);
    }

    function testFuzz_calldataIsRecordedByItsHash(bytes memory data, uint64 first, uint64 last) public {
        vm.prank(poster, poster);
        if (first > last) {
            vm.expectRevert(abi.encodeWithSelector(Inbox.EmptyRange.selector, first, last));
            inbox.postCalldata(0, 0, first, last, data);
            return;
        }
        bytes32[] memory hashes = new bytes32[](1);
        hashes[0] = keccak256(data);
        vm.expectEmit(true, true, true, true, address(inbox));
        emit Inbox.SegmentPosted(0, 0, poster, first, last, 1, hashes);
        inbox.postCalldata(0, 0, first, last, data);
    }

    function test_calldataMustBeATransactionsInput() public {
        vm.prank(poster, named("someone"));
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotTransactionInput.selector, poster));
        inbox.postCalldata(0, 0, 1, 1, "data");
        // An account that delegates could call from within its own transaction.
        vm.etch(poster, abi.encodePacked(hex"ef0100", address(this)));
        vm.prank(poster, poster);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotTransactionInput.selector, poster));
        inbox.postCalldata(0, 0, 1, 1, "data");
    }

    function test_blobsMayComeThroughAContract() public {
        blobs(1);
        vm.etch(poster, hex"00");
        vm.prank(poster, named("someone"));
        inbox.postBlobs(0, 0, 1, 1);
    }

    function testFuzz_onlyPostersPost(address stranger) public {
        vm.assume(stranger != poster && stranger.code.length == 0);
        vm.assume(stranger != address(adminOf(address(inbox))));
        blobs(1);
        vm.prank(stranger, stranger);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotPoster.selector, stranger));
        inbox.postBlobs(0, 0, 1, 1);
        vm.prank(stranger, stranger);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotPoster.selector, stranger));
        inbox.postCalldata(0, 0, 1, 1, "data");
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotSystemConfig.selector, stranger));
        inbox.setPoster(stranger, true);
    }

    function test_removedPosterPostsNoMore() public {
        vm.prank(operator);
        systemConfig.setPoster(poster, false);
        vm.prank(poster, poster);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotPoster.selector, poster));
        inbox.postCalldata(0, 0, 1, 1, "data");
    }

    function test_laterTermFencesEarlierOnes() public {
        post(0, 3);
        vm.assertEq(uint256(inbox.currentTerm()), 3);
        vm.prank(poster, poster);
        vm.expectRevert(abi.encodeWithSelector(Inbox.StaleTerm.selector, uint64(2), uint64(3)));
        inbox.postCalldata(1, 2, 1, 1, "data");
        post(1, 3);
        vm.expectEmit(true, true, true, true, address(inbox));
        emit Inbox.TermAdvanced(9, poster);
        post(2, 9);
    }

    function test_termDoesNotLeap() public {
        post(0, 1_000_000);
        vm.prank(poster, poster);
        vm.expectRevert(
            abi.encodeWithSelector(Inbox.TermLeap.selector, uint64(2_000_001), uint64(1_000_000), uint64(1_000_000))
        );
        inbox.postCalldata(1, 2_000_001, 1, 1, "data");
    }

    function test_sequencerAdvancesTheTerm() public {
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotSequencer.selector, address(this)));
        inbox.advanceTerm(4);
        vm.startPrank(sequencer);
        inbox.advanceTerm(4);
        vm.assertEq(uint256(inbox.currentTerm()), 4);
        vm.expectRevert(abi.encodeWithSelector(Inbox.StaleTerm.selector, uint64(4), uint64(4)));
        inbox.advanceTerm(4);
    }

    function test_eachIndexOnce() public {
        post(0, 0);
        post(2, 0);
        for (uint64 index = 0; index < 3; index += 2) {
            vm.prank(poster, poster);
            vm.expectRevert(abi.encodeWithSelector(Inbox.AlreadyPosted.selector, index));
            inbox.postCalldata(index, 0, 1, 1, "data");
        }
        vm.assertTrue(inbox.isPosted(0));
        vm.assertFalse(inbox.isPosted(1));
        vm.assertTrue(inbox.isPosted(2));
        vm.assertEq(uint256(inbox.nextIndex()), 1);
        post(1, 0);
        vm.assertEq(uint256(inbox.nextIndex()), 3);
        vm.assertFalse(inbox.isPosted(3));
        vm.assertFalse(inbox.isPosted(type(uint64).max));
    }

    function test_wholeWindowCanBeFilledBackwards() public {
        for (uint64 index = 255; index > 0; --index) post(index, 0);
        vm.prank(poster, poster);
        vm.expectRevert(abi.encodeWithSelector(Inbox.IndexTooFar.selector, uint64(256), uint64(256)));
        inbox.postCalldata(256, 0, 1, 1, "data");
        vm.assertEq(uint256(inbox.nextIndex()), 0);
        post(0, 0);
        vm.assertEq(uint256(inbox.nextIndex()), 256);
        vm.assertEq(uint256(inbox.endIndex()), 256);
        post(511, 0);
        post(256, 0);
        vm.assertEq(uint256(inbox.nextIndex()), 257);
    }

    /// Several accounts in any order: whatever is posted next, the counters are those of a set of indexes.
    function testFuzz_anyOrderGivesTheSameCounters(uint256 seed) public {
        uint64 count = 24;
        uint64[] memory order = new uint64[](count);
        for (uint64 i = 0; i < count; ++i) order[i] = i;
        for (uint64 i = count - 1; i > 0; --i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint64 j = uint64(seed % (i + 1));
            (order[i], order[j]) = (order[j], order[i]);
        }
        bool[] memory taken = new bool[](count);
        uint64 end = 0;
        for (uint64 i = 0; i < count; ++i) {
            post(order[i], 0);
            taken[order[i]] = true;
            if (order[i] >= end) end = order[i] + 1;
            uint64 next = 0;
            while (next < count && taken[next]) ++next;
            vm.assertEq(uint256(inbox.nextIndex()), next);
            vm.assertEq(uint256(inbox.endIndex()), end);
            for (uint64 k = 0; k < count; ++k) vm.assertTrue(inbox.isPosted(k) == taken[k]);
        }
    }

    function test_genesisComesOnceAndFirst() public {
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(Inbox.GenesisExists.selector, keccak256("genesis")));
        inbox.publishGenesis("other");

        vm.prank(deployer);
        Inbox fresh = Inbox(factory.deployCluster(clusterParameters(902)).inbox);
        vm.prank(poster, poster);
        vm.expectRevert(abi.encodeWithSelector(Inbox.GenesisMissing.selector));
        fresh.postCalldata(0, 0, 1, 1, "data");
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotOperator.selector, address(this)));
        fresh.publishGenesis("genesis");
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(Inbox.EmptyGenesis.selector));
        fresh.publishGenesis("");
        vm.expectEmit(true, true, true, true, address(fresh));
        emit Inbox.GenesisPublished("genesis");
        vm.prank(operator);
        fresh.publishGenesis("genesis");
        vm.assertEq(fresh.genesisHash(), keccak256("genesis"));
    }
}
