// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Inbox} from "../../src/l1/Inbox.sol";
import {SystemConfig} from "../../src/l1/SystemConfig.sol";
import {DeployedCluster, SheafTest} from "../SheafTest.sol";

/// @notice Posts in all ways that fuzzing finds, and says beforehand what the inbox must answer: the rules again, written
///         as sets and loops instead of bits.
contract InboxModel is SheafTest {
    Inbox private immutable INBOX;
    SystemConfig private immutable CONFIG;
    address private immutable OPERATOR;
    address private immutable SEQUENCER;

    address[] private _accounts;
    mapping(address => bool) private _poster;
    mapping(uint64 => bool) public posted;
    uint64 public term;
    uint64 public postedCount;
    uint64 public highest;
    uint256 public accepted;
    uint256 public refused;

    constructor(Inbox inbox, SystemConfig config, address operator, address sequencer, address poster) {
        INBOX = inbox;
        CONFIG = config;
        OPERATOR = operator;
        SEQUENCER = sequencer;
        _accounts.push(poster);
        _poster[poster] = true;
        for (uint256 i = 0; i < 3; ++i) _accounts.push(address(uint160(0xbeef00 + i)));
    }

    function firstGap() public view returns (uint64 index) {
        while (posted[index]) ++index;
    }

    function setPoster(uint256 who, uint256 seed) external {
        address account = _accounts[who % 4];
        bool allowed = seed % 4 != 0;
        vm.prank(OPERATOR);
        CONFIG.setPoster(account, allowed);
        _poster[account] = allowed;
    }

    function advanceTerm(uint8 step) external {
        vm.prank(SEQUENCER);
        (bool ok,) = address(INBOX).call(abi.encodeCall(INBOX.advanceTerm, (term + step)));
        vm.assertTrue(ok == (step > 0), "the term advances exactly when it rises");
        if (ok) term += step;
    }

    function post(uint256 who, uint256 place, uint256 termSeed, uint8 blobCount, bool inBlobs) external {
        address account = _accounts[who % 4];
        uint64 gap = firstGap();
        // Mostly near the first gap, sometimes behind it, sometimes about the end of the window.
        uint64 index;
        if (place % 8 == 0 && gap > 0) index = uint64(bound(place, 0, gap - 1));
        else if (place % 8 == 1) index = uint64(bound(place, gap + 250, gap + 260));
        else index = uint64(bound(place, gap, gap + 6));
        uint64 given = term > 1 ? term - 2 + uint64(termSeed % 4) : uint64(termSeed % 3);
        uint256 count = blobCount % 4;

        bytes4 expected = 0;
        if (inBlobs && count == 0) expected = Inbox.NoBlobs.selector;
        else if (!_poster[account]) expected = Inbox.NotPoster.selector;
        else if (given < term) expected = Inbox.StaleTerm.selector;
        else if (posted[index]) expected = Inbox.AlreadyPosted.selector;
        else if (index >= gap + 256) expected = Inbox.IndexTooFar.selector;

        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) hashes[i] = keccak256(abi.encode(place, i));
        vm.blobhashes(hashes);
        vm.prank(account, account);
        (bool ok, bytes memory answer) = address(INBOX).call(
            inBlobs
                ? abi.encodeCall(INBOX.postBlobs, (index, given, 1, 2))
                : abi.encodeCall(INBOX.postCalldata, (index, given, 1, 2, "data"))
        );
        vm.assertTrue(ok == (expected == 0), "accepted exactly when the model accepts");
        if (!ok) {
            vm.assertEq(bytes32(bytes4(answer)), bytes32(expected), "refused for the model's reason");
            ++refused;
            return;
        }
        ++accepted;
        posted[index] = true;
        ++postedCount;
        if (index >= highest) highest = index + 1;
        if (given > term) term = given;
    }
}

contract InboxInvariantTest is DeployedCluster {
    InboxModel private model;

    function setUp() public {
        startCluster();
        model = new InboxModel(inbox, systemConfig, operator, sequencer, poster);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(model);
    }

    /// forge-config: default.invariant.depth = 128
    function invariant_inboxIsItsModel() external view {
        uint64 gap = model.firstGap();
        vm.assertEq(uint256(inbox.nextIndex()), gap);
        vm.assertEq(uint256(inbox.currentTerm()), model.term());
        vm.assertEq(uint256(inbox.endIndex()), model.highest());
        for (uint64 i = 0; i < gap + 8; ++i) {
            vm.assertTrue(inbox.isPosted(i) == model.posted(i), "the same indexes are posted");
            vm.assertTrue((inbox.segmentHash(i) != bytes32(0)) == model.posted(i), "a hash for each posted index");
        }
        vm.assertLe(model.highest(), gap + 256);
    }
}
